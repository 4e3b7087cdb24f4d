"""What is loaded once, kept, let go of and found again."""

from weakref import ref

from core.kept import Kept, let_go_shared, shared


class Thing:
    def __init__(self, name):
        self.name = name


def test_one_object_for_each_set_of_arguments():
    make = Kept(Thing)
    assert make("a") is make("a") is not make("b")
    assert make("b").name == "b"


def test_what_is_let_go_of_is_freed_unless_somebody_uses_it_who_then_shares_it():
    make = Kept(Thing)
    used, unused = make("a"), ref(make("b"))
    make.let_go()
    assert unused() is None
    assert make("a") is used


def test_what_models_share_is_let_go_of_together():
    one, other = shared(Thing), shared(Thing)
    seen = ref(one("a")), ref(other("a"))
    assert one("a") is not other("a")
    let_go_shared()
    assert [thing() for thing in seen] == [None, None]
