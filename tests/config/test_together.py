"""What two Workers of one session must not share is named, with both files."""

from __future__ import annotations

import pytest

from wrangler_py import config as configuration
from wrangler_py.config.together import check_together
from wrangler_py.errors import ConfigError

FLOW = '[[workflows]]\nname = "orders"\nbinding = "ORDERS"\nclass_name = "Orders"\n'
CONSUMER = '[[queues.consumers]]\nqueue = "mail"\n'
PRODUCER = '[[queues.producers]]\nqueue = "mail"\nbinding = "MAIL"\n'


def configured(folder, name, *sections):
    folder.mkdir(exist_ok=True)
    (folder / "entry.py").write_text("")
    path = folder / "wrangler.toml"
    path.write_text(f'name = "{name}"\nmain = "entry.py"\n{"".join(sections)}')
    loaded = configuration.load(path)
    assert loaded.config is not None, loaded.diagnostics.render()
    return loaded.config


def test_workers_that_use_each_others_things_go_together(tmp_path):
    theirs = FLOW + 'script_name = "a"\n'
    check_together(
        [
            configured(tmp_path / "a", "a", FLOW, CONSUMER),
            configured(tmp_path / "b", "b", theirs, PRODUCER),
            configured(tmp_path / "c", "c", theirs, PRODUCER),
        ]
    )


@pytest.mark.parametrize(
    ("names", "section", "complaint"),
    [
        (("a", "a"), "", 'Two Workers of this session are called "a"'),
        (("a", "b"), FLOW, 'The workflow "orders" is defined by two Workers'),
        (("a", "b"), CONSUMER, 'The queue "mail" has two consumers'),
    ],
)
def test_a_clash_names_what_and_both_files(tmp_path, names, section, complaint):
    configs = [configured(tmp_path / f"folder-{number}", name, section) for number, name in enumerate(names)]
    with pytest.raises(ConfigError) as caught:
        check_together(configs)
    assert str(caught.value) == f"{complaint}: {configs[0].path} and {configs[1].path}."
    assert caught.value.hint


def test_one_file_twice_is_told_as_that(tmp_path):
    config = configured(tmp_path / "a", "a", FLOW)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    again = configuration.load(tmp_path / "link" / "wrangler.toml").config
    assert again is not None
    for other in (config, again):
        with pytest.raises(ConfigError, match="One configuration is given twice: "):
            check_together([config, other])
