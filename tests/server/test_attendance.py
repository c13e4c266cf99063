"""What counts as nobody being there: that the store has said so, again and again, and nobody was seen meanwhile."""

from mcpc.server.attendance import Attendance
from mcpc.stored import Appended

NOBODY = Appended(first=1, cursor=5, listening=False)


class Scene:
    def __init__(self) -> None:
        self.now = 100.0
        self.is_here = False
        self.probes = 0
        self.attendance = Attendance(lambda: self.now, self.probe, lambda: self.is_here)
        self.attendance.told(NOBODY)

    def probe(self) -> None:
        self.probes += 1

    def told(self, receipt: Appended, later: float = 10.0) -> float:
        self.now += later
        self.attendance.told(receipt)
        return self.attendance.absence


def test_absence_is_counted_from_the_first_time_the_store_says_so_to_the_last() -> None:
    scene = Scene()
    assert scene.told(NOBODY) == 0.0, "the first word of a cursor is one of somebody who was sent something"
    assert scene.told(NOBODY) == 10.0
    assert scene.told(NOBODY) == 20.0
    scene.now += 1000.0
    assert scene.attendance.absence == 20.0, "a store that says nothing has not said that nobody is there"


def test_who_listens_anywhere_or_was_sent_something_meanwhile_is_there() -> None:
    scene = Scene()
    for somebody in (Appended(1, 5, listening=True), Appended(1, 7, listening=False)):
        scene.told(NOBODY)
        assert scene.told(NOBODY) > 0.0
        assert scene.told(somebody) == 0.0
        assert scene.told(Appended(1, 6, listening=False)) == 0.0


def test_who_is_here_is_not_asked_of_the_store() -> None:
    scene = Scene()
    scene.told(NOBODY)
    assert scene.told(NOBODY) == 10.0
    scene.attendance.look()
    assert (scene.probes, scene.attendance.absence) == (1, 10.0)
    scene.is_here = True
    scene.attendance.look()
    assert (scene.probes, scene.attendance.absence) == (1, 0.0)
