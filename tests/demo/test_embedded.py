"""What the page says of the embedded models before they are loaded is true of them."""

from core.generators.registry import load_generator
from core.world.captions import check
from demo.embedded import embedded_models


def test_the_steps_shown_before_loading_are_the_generator_s():
    models = embedded_models()
    assert models.steps == load_generator(models.searcher).step_labels


def test_every_example_is_fully_known():
    for prompt in embedded_models().examples:
        found = check(prompt)
        assert found.has_object and not found.unknown and not found.notes, prompt
