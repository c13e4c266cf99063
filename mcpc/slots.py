"""The four attributes of every pydantic model, set without validating and without the cost of `model_construct`.

They are what `model_construct` sets (pydantic's documentation, "Models"), reached by their descriptors: assigning to a
model goes through its `__setattr__`. The names are pydantic's own and no promise; `tests/core/test_slots.py` sees that
a model made so is one that pydantic would have made.
"""

from pydantic import BaseModel

__all__ = ["set_extra", "set_fields_set", "set_private", "set_values"]

set_values = BaseModel.__dict__["__dict__"].__set__
"""The values of the fields, by name."""
set_fields_set = BaseModel.__dict__["__pydantic_fields_set__"].__set__
"""The names of the fields that were given, as a set."""
set_extra = BaseModel.__dict__["__pydantic_extra__"].__set__
"""Members that are no fields; None where the model takes none."""
set_private = BaseModel.__dict__["__pydantic_private__"].__set__
"""Private attributes; None where there are none."""
