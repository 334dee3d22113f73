"""Where each setting comes from, what is refused, and which engines come of it."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

import config
from config.engines import EngineChoice, resolve_engines
from config.loader import KEYS, NAMES, ConfigError, load
from config.places import Places, find_places
from config.settings import Settings
from config.watch_entry import WatchEntry

MAC = "darwin"
LINUX = "linux"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return find_places({"STENO_HOME": str(tmp_path)})


def refusal(places: Places, environment: Mapping[str, str], flags: Mapping[str, object] | None = None) -> str:
    with pytest.raises(ConfigError) as refused:
        load(places, environment, flags or {})
    return str(refused.value)


def test_each_source_beats_the_ones_below_it_and_says_its_name(places: Places, tmp_path: Path) -> None:
    toml, env_file = tmp_path / "config.toml", tmp_path / ".env.pipeline"
    toml.write_text(
        'model = "toml"\nprompt = "toml"\nlanguage = "de"\ntask = "translate"\n[watching]\nsettle_seconds = 1\n'
    )
    env_file.write_text("export STENO_MODEL=file\nSTENO_PROMPT='it costs $5'\nSTENO_LANGUAGE=fr\n")
    loaded = load(places, {"STENO_MODEL": "environment", "STENO_LANGUAGE": "it"}, {"language": "nl", "model": None})
    said = {
        key: (getattr(loaded.settings, key), loaded.origins[key]) for key in ("language", "model", "prompt", "task")
    }
    assert said == {
        "language": ("nl", "flag"),
        "model": ("environment", "environment STENO_MODEL"),
        "prompt": ("it costs $5", f".env.pipeline ({env_file})"),
        "task": ("translate", f"config.toml ({toml})"),
    }
    assert loaded.settings.watching.settle_seconds == 1.0
    assert loaded.origins["watching.scan_seconds"] == "default"


def test_with_nothing_given_everything_is_the_default(tmp_path: Path) -> None:
    places = find_places({"XDG_RUNTIME_DIR": str(tmp_path)}, "linux")
    loaded = load(find_places({}, "linux"), {}) if not places.config_file.exists() else None
    if loaded is not None:
        assert loaded.settings == Settings()
    moved = load(find_places({"STENO_HOME": str(tmp_path)}), {})
    assert moved.settings.watch == (WatchEntry(path=tmp_path / "Transcribe"),)
    assert set(moved.origins) == set(KEYS)
    assert set(moved.origins.values()) == {"default"}
    assert moved.settings.model_copy(update={"watch": Settings().watch}) == Settings()


def test_every_setting_has_a_name_in_the_environment() -> None:
    assert set(NAMES.values()) == set(KEYS)
    assert {"STENO_MODEL", "STENO_ALIGNMENT_MODEL", "WHISPER_BACKEND", "ALIGNMENT_BACKEND"} < set(NAMES)
    assert NAMES["STENO_WATCHING_SETTLE_SECONDS"] == "watching.settle_seconds"
    assert len(NAMES) == len(KEYS) + 2


def test_text_from_the_environment_becomes_numbers_switches_and_lists(places: Places) -> None:
    settings = load(
        places,
        {
            "STENO_WORKERS_FALLBACK": "no",
            "STENO_WORKERS_THREADS": "3",
            "STENO_DEADLINES_PROGRESS_SECONDS": "7.5",
            "STENO_OUTPUT_FORMATS": "json, srt md",
            "STENO_WATCH": "/a, b:~/c,/d",
            "STENO_WORKERS_ENGINE_PATH": "/engines:~/e",
            "STENO_MODEL": "",
            "ALIGNMENT_BACKEND": " mlx ",
        },
    ).settings
    assert settings.workers.fallback is False
    assert settings.workers.threads == 3
    assert settings.deadlines.progress_seconds == 7.5
    assert settings.output.formats == ("json", "srt", "md")
    assert [entry.path for entry in settings.watch] == [Path("/a, b"), Path.home() / "c", Path("/d")]
    assert settings.workers.engine_path == (Path("/engines"), Path.home() / "e")
    assert settings.model is None
    assert settings.alignment_backend == "mlx"


def test_engines_lie_in_one_folder_or_several(places: Places) -> None:
    for written, folders in (('"/one"', [Path("/one")]), ('["/one", "/two:2"]', [Path("/one"), Path("/two:2")])):
        places.config_file.write_text(f"[workers]\nengine_path = {written}\n")
        assert list(load(places, {}).settings.workers.engine_path) == folders
    places.config_file.write_text('[workers]\nengine_path = "engines"\n')
    assert "a folder starts with / or ~" in refusal(places, {})


def test_our_own_name_beats_the_one_brought_along(places: Places) -> None:
    loaded = load(places, {"STENO_WHISPER_BACKEND": "mlx", "WHISPER_BACKEND": "whisperx"})
    assert loaded.settings.whisper_backend == "mlx"
    assert loaded.origins["whisper_backend"] == "environment STENO_WHISPER_BACKEND"


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (
            {"WHISPER_BACKEND": "whisprx"},
            ["environment WHISPER_BACKEND", "'whisprx'", "'auto', 'mlx'", "mean whisperx?"],
        ),
        ({"ALIGNMENT_BACKEND": "off"}, ["alignment_backend", "'none'", "package.module:Class"]),
        ({"STENO_OUTPUT_FORMATS": "json,pdf"}, ["STENO_OUTPUT_FORMATS", "output.formats", "pdf", "'srt'"]),
        ({"STENO_DEADLINES_BOOT_SECONDS": "soon"}, ["deadlines.boot_seconds", "'soon'", "valid number"]),
        ({"STENO_DEADLINES_BOOT_SECONDS": "inf"}, ["deadlines.boot_seconds", "finite"]),
        ({"STENO_WATCHING_SCAN_SECONDS": "0"}, ["watching.scan_seconds", "greater than 0"]),
        ({"STENO_OUTPUT_FOLDER": "out"}, ["output.folder", "'out'", "starts with / or ~"]),
        ({"STENO_LANGUAGE": "English"}, ["language", "'English'", "two or three letters"]),
        ({"STENO_TASK": "x", "STENO_WORKFLOW": "y"}, ["environment STENO_TASK", "environment STENO_WORKFLOW"]),
    ],
)
def test_a_refusal_names_place_key_value_and_what_is_allowed(
    places: Places, environment: dict[str, str], said: list[str]
) -> None:
    message = refusal(places, environment)
    assert [part for part in said if part not in message] == [], message


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        (
            "[watching]\nsetle_seconds = 3\n",
            ["there is no setting watching.setle_seconds", "did you mean watching.settle_seconds?"],
        ),
        ("modle = 'x'\n", ["there is no setting modle", "did you mean model?"]),
        ("[wathcing]\nscan_seconds = 3\n", ["wathcing.scan_seconds", "did you mean watching.scan_seconds?"]),
        ("watching = true\n", ["watching is a section", "[watching]"]),
        ("[watch]\npath = '/x'\n", ["watched folders are a list", "[[watch]]"]),
        ("model = 3\n", ["model = 3", "valid string"]),
        ("model = \n", ["not valid TOML", "line 1"]),
        ("[[watch]]\npath = 'x'\n", ["watch", "starts with / or ~"]),
        ("model.name = 'x'\n", ["there is no setting model.name"]),
    ],
)
def test_a_mistake_in_config_toml_is_named_with_its_file(places: Places, toml: str, said: list[str]) -> None:
    places.config_file.write_text(toml)
    message = refusal(places, {})
    assert [part for part in [*said, str(places.config_file)] if part not in message] == [], message


CROWDED = """\
modle = "x"
[watching]
settle_seconds = "soon"   # scan_seconds = 3
[[watch]]
path = "/a"
[[watch]]
langage = "de"
formats = ["json",
           "pdf"]
prompt = \'\'\'
task = "no setting"
\'\'\'
task = "x"
[watch.replacements]
"a.b" = 3
[[watch]]
path = "/c"
polling = 3
language = "Deutsch"
done = "/c"
[hooks]
on_done = "a 'b"
timeout_seconds = 0
[wathcing]
"""


def test_every_mistake_is_told_at_once_each_with_its_line_and_key(places: Places) -> None:
    places.config_file.write_text(CROWDED)
    places.config_file.with_name(".env.pipeline").write_text("A=1\nexport STENO_TASK=x\n")
    told = refusal(places, {"STENO_WATCHING_SCAN_SECONDS": "0"}).split("\n")
    file, env_file = f"({places.config_file})", f"({places.config_file.with_name('.env.pipeline')})"
    assert told == [
        f".env.pipeline line 2 {env_file}: STENO_TASK: task = 'x': allowed is 'transcribe' or 'translate'",
        f"config.toml line 1 {file}: there is no setting modle; did you mean model?",
        f"config.toml line 3 {file}: watching.settle_seconds = 'soon': must be a valid number, "
        "unable to parse string as a number",
        f"config.toml line 6 {file}: watch[1].path: this must be given",
        f"config.toml line 7 {file}: there is no setting watch[1].langage; did you mean watch[1].language?",
        f"config.toml line 9 {file}: watch[1].formats[1] = 'pdf': "
        "allowed is 'json', 'srt', 'vtt', 'txt', 'tsv' or 'md'",
        f"config.toml line 13 {file}: watch[1].task = 'x': allowed is 'transcribe' or 'translate'",
        f'config.toml line 15 {file}: watch[1].replacements."a.b" = 3: must be a valid string',
        f"config.toml line 18 {file}: watch[2].polling = 3: must be a valid boolean, unable to interpret input",
        f"config.toml line 19 {file}: watch[2].language = 'Deutsch': a code of two or three letters, like en or de",
        f'config.toml line 22 {file}: hooks.on_done = "a \'b": No closing quotation: '
        "write the command as a list of words",
        f"config.toml line 23 {file}: hooks.timeout_seconds = 0: must be greater than 0",
        f"config.toml line 24 {file}: there is no setting wathcing; did you mean watching?",
        "environment STENO_WATCHING_SCAN_SECONDS: watching.scan_seconds = '0': must be greater than 0",
    ]


def test_a_watched_folder_of_the_environment_is_charged_to_its_variable(places: Places) -> None:
    assert "environment STENO_WATCH: watch[1].path = 'b': a folder starts with / or ~" in refusal(
        places, {"STENO_WATCH": "/a:b"}
    )


def test_a_rule_that_joins_two_settings_is_charged_to_their_table(places: Places) -> None:
    places.config_file.write_text('\n[[watch]]\npath = "/c"\ndone = "/c"\n')
    assert f"config.toml line 2 ({places.config_file}): watch[0]: /c: done and failed" in refusal(places, {})


@pytest.mark.parametrize(("toml", "line"), [("a = [\n", 1), ("a = 1\nb =\n", 2), ("a = 1\na = 2\n", 2)])
def test_broken_syntax_has_a_line_too(places: Places, toml: str, line: int) -> None:
    places.config_file.write_text(toml)
    assert f"config.toml line {line} ({places.config_file}): not valid TOML" in refusal(places, {})


def test_another_file_may_stand_in_for_config_toml(places: Places, tmp_path: Path) -> None:
    places.config_file.write_text('model = "here"\n')
    draft = tmp_path / "draft.toml"
    draft.write_text('model = "there"\n')
    loaded = load(places, {}, config_file=draft)
    assert (loaded.settings.model, loaded.origins["model"]) == ("there", f"draft.toml ({draft})")


def test_a_config_file_that_cannot_be_read_is_not_a_missing_one(places: Places) -> None:
    places.config_file.write_bytes(b"model = '\xff'")
    assert "cannot be read" in refusal(places, {})
    places.config_file.unlink()
    places.config_file.mkdir()
    assert "cannot be read" in refusal(places, {})


def test_a_flag_for_no_setting_is_refused_too(places: Places) -> None:
    assert "flag: there is no setting model.name" in refusal(places, {}, {"model.name": "x"})


def test_a_name_of_an_older_stenod_leads_to_todays(places: Places) -> None:
    loaded = load(places, {"STENO_WATCH_FOLDERS": "/recordings"})
    assert loaded.doubts == ("environment: STENO_WATCH_FOLDERS means nothing to stenod; it is STENO_WATCH now",)


def test_a_name_that_looks_like_ours_is_doubted_and_not_refused(places: Places, tmp_path: Path) -> None:
    (tmp_path / ".env.pipeline").write_text("STENO_HOME=/elsewhere\nOPENAI_API_KEY=x\n")
    loaded = load(places, {"STENO_HOME": str(tmp_path), "STENO_MODLE": "x", "PATH": "/bin"})
    about_home, about_model = loaded.doubts
    assert "STENO_HOME has no effect" in about_home
    assert "did you mean STENO_MODEL?" in about_model
    assert loaded.settings.model is None


def test_the_default_file_holds_every_setting_with_its_default() -> None:
    text, _ = default_toml()
    assert tomllib.loads(text) == {name: {} for name in Settings.model_fields if name not in KEYS}, "something is set"
    setting = re.compile(r"^# ([a-z_]+) =(?: (.+))?$", re.MULTILINE)
    # TOML has no word for "unset": such a key stands there without a value.
    unset = [name for name, value in setting.findall(text) if not value]
    written = setting.sub(lambda line: f"{line[1]} = {line[2]}" if line[2] else "", text)
    assert Settings.model_validate(tomllib.loads(written)) == Settings()
    section, found = "", []
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]") + "."
        elif match := setting.match(line):
            found.append(section + match[1])
    assert [*found, "replacements", "watch"] == list(KEYS)
    assert unset == [
        *("model", "fallback_model", "alignment_model", "language", "prompt"),
        *("transcriber_keep_alive", "aligner_keep_alive", "folder", "listen", "listen"),
    ]


def test_the_default_file_shows_every_line_that_a_watched_folder_may_have() -> None:
    _, example = default_toml()
    is_toml = re.compile(r'# (?:\[+\w+\]+|(?:"[^"]+"|\w+) = .+)')
    lines = [line.removeprefix("# ") for line in example.splitlines() if is_toml.fullmatch(line)]
    written = tomllib.loads("\n".join(lines))
    assert list(written["watch"][0]) == list(WatchEntry.model_fields)
    assert Settings.model_validate(written).watch[0].path == Path.home() / "Memos"


def default_toml() -> tuple[str, str]:
    """Its settings, and the example of what has no default to show."""
    text = (Path(config.__file__).parent / "default.toml").read_text(encoding="utf-8")
    head, mark, example = text.partition("# Words that the model gets wrong")
    return head, mark + example


def chosen(whisper: str, alignment: str, platform: str, fallback: bool = True) -> EngineChoice:
    settings = Settings.model_validate(
        {"whisper_backend": whisper, "alignment_backend": alignment, "workers": {"fallback": fallback}}
    )
    return resolve_engines(settings, platform)


@pytest.mark.parametrize(
    ("whisper", "alignment", "platform", "transcriber", "aligner", "fallback"),
    [
        ("auto", "whisperx", MAC, "mlx", "whisperx", "whisperx"),
        ("auto", "whisperx", LINUX, "whisperx", "whisperx", None),
        ("hybrid", "whisperx", MAC, "mlx", "whisperx", "whisperx"),
        ("hybrid", "mlx", LINUX, "mlx", "mlx", "whisperx"),
        ("mlx", "same", LINUX, "mlx", "mlx", "whisperx"),
        ("whisperx", "same", MAC, "whisperx", "whisperx", None),
        ("auto", "same", MAC, "mlx", "mlx", "whisperx"),
        ("mlx", "none", MAC, "mlx", None, "whisperx"),
        ("my.engines:Own", "same", MAC, "my.engines:Own", "whisperx", "whisperx"),
        ("whisperx", "my.engines:Own", LINUX, "whisperx", "my.engines:Own", None),
    ],
)
def test_backends_resolve_to_engines(
    whisper: str,
    alignment: str,
    platform: str,
    transcriber: str,
    aligner: str | None,
    fallback: str | None,
) -> None:
    choice = chosen(whisper, alignment, platform)
    assert (choice.transcriber, choice.aligner, choice.fallback) == (transcriber, aligner, fallback)
    assert chosen(whisper, alignment, platform, fallback=False).fallback is None


def test_a_worker_is_told_its_engine_by_import_path() -> None:
    assert chosen("mlx", "whisperx", MAC) == EngineChoice(
        transcriber="mlx",
        transcriber_path="workers.mlx.transcriber:MlxTranscriber",
        aligner="whisperx",
        aligner_path="workers.whisperx.aligner:WhisperxAligner",
        fallback="whisperx",
        fallback_path="workers.whisperx.transcriber:WhisperxTranscriber",
    )
    assert chosen("a.b:C", "d:E", LINUX).transcriber_path == "a.b:C"
    assert chosen("a.b:C", "d:E", LINUX).aligner_path == "d:E"
