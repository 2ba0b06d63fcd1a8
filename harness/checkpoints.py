"""Where are the checkpoints? Folders, patterns, hub revisions, servers → [Checkpoint].

A checkpoint is known by the content of its files, so that a renamed folder is the
same one and a folder with other weights in it is not. The files of a hub revision
count the same whether they lie in the local cache or are still on the hub. What a
server holds nobody can see: there the name counts, and the version that a suite gives.
"""

from __future__ import annotations

import glob
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

from harness.errors import CheckpointError
from harness.patterns import FIELD, path_matcher, refuse_unknown_fields
from harness.records import Checkpoint, Server, digest
from harness.suite import (
    ApiModel,
    FolderCheckpoint,
    HubCheckpoints,
    PatternCheckpoints,
    Suite,
    resolve_path,
)

WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "*.gguf")
"""In the order in which transformers prefers them: the first that is there counts."""

SETTINGS = ("config.json", "generation_config.json")
"""Small files that change answers together with the weights."""

CODE = "*.py"
"""A model's own code, which runs where the suite allows it by name."""

TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)

HUB_SCHEME = "hub://"
"""How `Checkpoint.location` names files that are still on the hub."""


def find_checkpoints(suite: Suite, base: Path, zoo: Path | None) -> list[Checkpoint]:
    """Return the checkpoints that `suite` names, each once, in order.

    Parameters
    ----------
    base : Path
        Folder that relative paths start from: the suite file's.
    zoo : Path or None
        What ``zoo://`` stands for; ``None`` when no zoo was built.

    Raises
    ------
    CheckpointError
        ``checkpoint-missing``, ``not-a-checkpoint``, ``tokenizer-missing``,
        ``tokenizer-unreadable``, ``no-checkpoints`` (a pattern matches nothing),
        ``pattern-field``, ``hub-unreachable``, ``duplicate-checkpoint``.
    """
    found: list[Checkpoint] = []
    for entry in suite.checkpoints:
        if isinstance(entry, FolderCheckpoint):
            found.append(_from_folder_entry(entry, base, zoo))
        elif isinstance(entry, PatternCheckpoints):
            found.extend(_from_pattern(entry, base, zoo))
        elif isinstance(entry, ApiModel):
            found.append(_from_api(entry, base, zoo))
        else:
            found.extend(_from_hub(entry))
    seen: dict[tuple[str, int | None, int | None], Checkpoint] = {}
    for checkpoint in found:
        key = (checkpoint.model, checkpoint.train_seed, checkpoint.step)
        if key in seen:
            raise CheckpointError(
                f"two checkpoints are called {checkpoint}: {seen[key].location} and "
                f"{checkpoint.location}; give one another model name, seed or step",
                code="duplicate-checkpoint",
            )
        seen[key] = checkpoint
    return found


def fetch(location: str) -> Path:
    """Return a local folder with the files of `location`, downloading if it must.

    Raises
    ------
    CheckpointError
        ``hub-unreachable``.
    """
    if not location.startswith(HUB_SCHEME):
        return Path(location)
    repository, _, commit = location.removeprefix(HUB_SCHEME).rpartition("@")
    return _download(repository, commit)


def _from_folder_entry(
    entry: FolderCheckpoint, base: Path, zoo: Path | None
) -> Checkpoint:
    folder = resolve_path(entry.folder, base, zoo)
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder}: there is no such folder (checkpoint {entry.model}); "
            "put the weights there first, or correct folder: in the suite",
            code="checkpoint-missing",
        )
    tokenizer = resolve_path(entry.tokenizer, base, zoo) if entry.tokenizer else None
    return _from_folder(
        folder,
        source=entry.folder,
        model=entry.model,
        train_seed=entry.train_seed,
        step=entry.step,
        gguf_file=entry.gguf_file,
        tokenizer=tokenizer,
    )


def _from_api(entry: ApiModel, base: Path, zoo: Path | None) -> Checkpoint:
    """Return what a server calls a model; where it listens today is no identity."""
    tokenizer = resolve_path(entry.tokenizer, base, zoo) if entry.tokenizer else None
    tokens = _tokenizer_files(tokenizer) if tokenizer else []
    if tokenizer and not tokens:
        raise CheckpointError(
            f"{tokenizer}: there is no tokenizer ({TOKENIZER[0]}) for {entry.model} at "
            f"{entry.api}; correct tokenizer: in the suite",
            code="tokenizer-missing",
        )
    name = entry.served_name or entry.model
    return Checkpoint(
        model=entry.model,
        train_seed=entry.train_seed,
        step=entry.step,
        weights_digest=digest(["api", name, entry.version, entry.chat]),
        tokenizer_digest=_digest_files(tokens) if tokens else "",
        location=entry.api,
        source=entry.api,
        tokenizer=str(tokenizer.absolute()) if tokenizer else None,
        has_chat_template=_has_chat_template(tokens),
        server=Server(
            model=name,
            chat=entry.chat,
            concurrent=entry.concurrent,
            timeout=entry.timeout,
            max_tries=entry.max_tries,
            key_env=entry.key_env,
        ),
    )


def _from_pattern(
    entry: PatternCheckpoints, base: Path, zoo: Path | None
) -> list[Checkpoint]:
    refuse_unknown_fields(entry.pattern)
    names = entry.model
    if "{model}" not in entry.pattern and (names is None or len(names) != 1):
        raise CheckpointError(
            f"pattern {entry.pattern!r} has no {{model}}; name one with model:",
            code="pattern-field",
        )
    folder, source, tail = _split_at_first_field(entry.pattern, base, zoo)
    matcher = path_matcher(tail)
    matches, others = [], []
    wildcards = FIELD.sub("*", glob.escape(tail))
    for candidate in glob.iglob(wildcards, root_dir=folder):  # noqa: PTH207  # escaped
        match = matcher.fullmatch(candidate)
        if match is None or not (folder / candidate).is_dir():
            continue
        fields = match.groupdict()
        model = fields.get("model") or (names or [""])[0]
        train_seed = int(fields["train_seed"]) if "train_seed" in fields else None
        step = int(fields["step"]) if "step" in fields else None
        if (
            (names is None or model in names)
            and (entry.train_seed is None or train_seed in entry.train_seed)
            and (entry.step is None or step in entry.step)
        ):
            matches.append((model, train_seed, step, candidate))
        else:
            others.append(candidate)
    if others and not matches:
        raise CheckpointError(
            f"model:, train_seed: and step: leave out all that {entry.pattern!r} "
            f"matches, such as {min(others)}",
            code="no-checkpoints",
        )
    if not matches:
        raise CheckpointError(
            f"no folder matches {entry.pattern!r} "
            f"(looked below {_deepest_existing(folder)})",
            code="no-checkpoints",
        )
    matches.sort(key=lambda m: (m[0], _first_none(m[1]), _first_none(m[2])))
    with ThreadPoolExecutor() as pool:  # hashing lets go of the interpreter
        return list(
            pool.map(
                lambda m: _from_folder(
                    folder / m[3],
                    source=source + m[3],
                    model=m[0],
                    train_seed=m[1],
                    step=m[2],
                ),
                matches,
            )
        )


def _split_at_first_field(
    pattern: str, base: Path, zoo: Path | None
) -> tuple[Path, str, str]:
    """Return the folder before the first field, as a path and as written, and the rest.

    Only the rest is matched: braces in the name of `base` are no fields.
    """
    end = pattern.rfind("/", 0, pattern.find("{")) + 1
    folder = resolve_path(pattern[:end], base, zoo)
    return folder, pattern[:end], str(PurePath(pattern[end:]))


def _deepest_existing(folder: Path) -> Path:
    """Return `folder`, or the nearest one above it that is there."""
    while not folder.is_dir():
        folder = folder.parent
    return folder


def _first_none(value: int | None) -> int:
    return -1 if value is None else value


def _filled(text: str, model: str, train_seed: int | None, step: int | None) -> str:
    """Return a pattern with its fields replaced by their values."""
    values = {"model": model, "train_seed": str(train_seed), "step": str(step)}
    return FIELD.sub(lambda match: values[match[1]], text)


def _from_folder(
    folder: Path,
    *,
    source: str,
    model: str,
    train_seed: int | None,
    step: int | None,
    gguf_file: str | None = None,
    tokenizer: Path | None = None,
    revision: str | None = None,
) -> Checkpoint:
    weights = [folder / gguf_file] if gguf_file else _weight_files(folder)
    if not weights or not all(file.is_file() for file in weights):
        raise CheckpointError(
            f"{folder}: not a checkpoint, it has no {gguf_file or 'weights'} "
            f"({', '.join(WEIGHTS)})",
            code="not-a-checkpoint",
        )
    missing = [] if gguf_file else _missing_shards(folder, weights)
    if missing:
        raise CheckpointError(
            f"{folder}: not a whole checkpoint, it lacks {len(missing)} of its files "
            f"of weights, first {missing[0]}",
            code="not-a-checkpoint",
        )
    if gguf_file is None and weights[0].suffix == ".gguf":
        raise CheckpointError(
            f"{folder}: its weights are GGUF; name the file with gguf_file:, "
            f"such as {weights[0].name}",
            code="not-a-checkpoint",
        )
    if gguf_file is None and not (folder / "config.json").is_file():
        raise CheckpointError(
            f"{folder}: not a checkpoint, it has no config.json",
            code="not-a-checkpoint",
        )
    tokens = _tokenizer_files(tokenizer or folder)
    # A GGUF file brings a tokenizer; transformers prefers one that lies beside it.
    if not tokens and (gguf_file is None or tokenizer is not None):
        raise CheckpointError(
            f"{tokenizer or folder}: there is no tokenizer ({TOKENIZER[0]}); "
            "name its folder with tokenizer:",
            code="tokenizer-missing",
        )
    weights_digest, tokenizer_digest = content_digests(folder, gguf_file, tokenizer)
    return Checkpoint(
        model=model,
        train_seed=train_seed,
        step=step,
        weights_digest=weights_digest,
        tokenizer_digest=tokenizer_digest,
        location=str(folder.absolute()),
        source=source,
        gguf_file=gguf_file,
        tokenizer=str(tokenizer.absolute()) if tokenizer else None,
        revision=revision,
        has_chat_template=_has_chat_template(tokens or weights),
    )


def content_digests(
    folder: Path, gguf_file: str | None = None, tokenizer: Path | None = None
) -> tuple[str, str]:
    """Return the digests of what a folder holds now: weights, and tokenizer.

    Parameters
    ----------
    tokenizer : Path, optional
        Folder of the tokenizer, where it lies elsewhere.

    Raises
    ------
    CheckpointError
        ``checkpoint-missing``, ``tokenizer-unreadable``.
    """
    weights = [folder / gguf_file] if gguf_file else _weight_files(folder)
    settings = [folder / name for name in SETTINGS if (folder / name).is_file()]
    settings += sorted(folder.glob(CODE))
    tokens = _tokenizer_files(tokenizer or folder)
    return _digest_files([*weights, *settings]), _digest_files(tokens or weights)


def _weight_files(folder: Path) -> list[Path]:
    for pattern in WEIGHTS:
        files = sorted(folder.glob(pattern))
        if files:
            return files
    return []


def _missing_shards(folder: Path, weights: Sequence[Path]) -> list[str]:
    """Return which files the index of `weights` names and `folder` has not."""
    there = {file.name for file in weights}
    whole = {"model.safetensors": ".safetensors", "pytorch_model.bin": ".bin"}
    for name, suffix in whole.items():
        index = folder / f"{name}.index.json"
        if weights[0].suffix == suffix and name not in there and index.is_file():
            try:
                shards = set(json.loads(index.read_bytes())["weight_map"].values())
            except (ValueError, KeyError, TypeError, AttributeError):
                raise CheckpointError(
                    f"{index}: the list of its files of weights cannot be read",
                    code="not-a-checkpoint",
                ) from None
            return sorted(shards - there)
    return []


def _tokenizer_files(folder: Path) -> list[Path]:
    files = [folder / name for name in TOKENIZER if (folder / name).is_file()]
    for file in files:
        if file.suffix == ".json":
            try:
                json.loads(file.read_bytes())
            except (OSError, ValueError) as error:
                raise CheckpointError(
                    f"{file}: the tokenizer cannot be read: {error}",
                    code="tokenizer-unreadable",
                ) from None
    # Settings alone make no tokenizer.
    return files if _has_vocabulary(files) else []


def _has_vocabulary(files: Iterable[Path]) -> bool:
    return any(file.name in _VOCABULARIES for file in files)


_VOCABULARIES = {"tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt"}

GGUF_HEADER_BYTES = 64 * 2**20
"""In the beginning of a GGUF file, before its weights, is what it says of itself."""


def _has_chat_template(files: Iterable[Path]) -> bool:
    """Return whether a tokenizer's files, or the GGUF file that it is in, have one."""
    for file in files:
        if file.name == "chat_template.jinja":
            return True
        if file.name == "tokenizer_config.json":
            settings = json.loads(file.read_bytes())
            if isinstance(settings, dict) and settings.get("chat_template"):
                return True
        if file.suffix == ".gguf":
            with file.open("rb") as opened:
                if b"tokenizer.chat_template" in opened.read(GGUF_HEADER_BYTES):
                    return True
    return False


def _digest_files(files: Iterable[Path]) -> str:
    return digest([[file.name, _file_digest(str(file))] for file in files])


def _file_digest(path: str) -> str:
    """Return the SHA-256 of a file, remembered while its inode does not change.

    The change time is part of the key: unlike the modification time it cannot be
    put back, so an edited file is never taken for the old one.
    """
    try:
        status = Path(path).stat()
        return _hash_file(path, status.st_ino, status.st_size, status.st_ctime_ns)
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read: {error.strerror}", code="checkpoint-missing"
        ) from None


@lru_cache(65_536)
def _hash_file(path: str, _inode: int, _size: int, _changed_ns: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---- hub -----------------------------------------------------------------------


def _from_hub(entry: HubCheckpoints) -> list[Checkpoint]:
    refuse_unknown_fields(entry.hub)
    refuse_unknown_fields(entry.revision)
    text = entry.hub + entry.revision
    for field, values in (("train_seed", entry.train_seed), ("step", entry.step)):
        if (values is None) == (f"{{{field}}}" in text):
            raise CheckpointError(
                f"hub {entry.hub!r} at {entry.revision!r}: "
                + (
                    f"{{{field}}} has no values; list them with {field}:"
                    if values is None
                    else f"{field}: is given but {{{field}}} is in neither"
                ),
                code="pattern-field",
            )
    seeds: Sequence[int | None] = entry.train_seed or (None,)
    steps: Sequence[int | None] = entry.step or (None,)
    return [_from_revision(entry, *of) for of in itertools.product(seeds, steps)]


def _from_revision(
    entry: HubCheckpoints, train_seed: int | None, step: int | None
) -> Checkpoint:
    repository, revision = (
        _filled(text, entry.model, train_seed, step)
        for text in (entry.hub, entry.revision)
    )
    try:
        folder = _cached(repository, revision)
        return _from_folder(
            folder,
            source=f"{HUB_SCHEME}{repository}@{folder.name}",
            model=entry.model,
            train_seed=train_seed,
            step=step,
            revision=f"{repository}@{folder.name}",
        )
    except CheckpointError as error:
        if error.code == "tokenizer-unreadable":
            raise
    return _remote(repository, revision, entry.model, train_seed, step)


def _cached(repository: str, revision: str) -> Path:
    """Return the local snapshot of a revision; its weights may not be whole."""
    from huggingface_hub import snapshot_download

    with _hub_errors(repository, revision):
        return Path(
            snapshot_download(
                repository,
                revision=revision,
                local_files_only=True,
                allow_patterns=[*SETTINGS, *TOKENIZER, CODE],
            )
        )


def _download(repository: str, commit: str) -> Path:
    """Return a local snapshot that has all of a commit's files that count."""
    from huggingface_hub import HfApi, snapshot_download

    with _hub_errors(repository, commit):
        names = HfApi().list_repo_files(repository, revision=commit)
        wanted = [*_preferred(names), *SETTINGS, *TOKENIZER, CODE, "*.index.json"]
        return Path(
            snapshot_download(repository, revision=commit, allow_patterns=wanted)
        )


@contextmanager
def _hub_errors(repository: str, revision: str) -> Iterator[None]:
    """Turn whatever the hub's client raises into one error in one line."""
    from httpx import HTTPError

    try:
        yield
    except (HTTPError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{repository} at {revision}: not whole in the local cache and not to be "
            f"had from the hub: {_first_line(error)}",
            code="hub-unreachable",
        ) from None


def _remote(
    repository: str,
    revision: str,
    model: str,
    train_seed: int | None,
    step: int | None,
) -> Checkpoint:
    """Identify a revision by the hub's own digests, without its weights."""
    from huggingface_hub import HfApi, hf_hub_download

    with _hub_errors(repository, revision):
        info = HfApi().model_info(repository, revision=revision, files_metadata=True)
        sizes = {s.rfilename: s for s in info.siblings or []}
        weights = _preferred(list(sizes))
        hashes = [[name, _hub_sha256(sizes[name])] for name in weights]

        def small(names: Sequence[str], revision: str = info.sha) -> list[Path]:
            return [
                Path(hf_hub_download(repository, name, revision=revision))
                for name in names
                if name in sizes
            ]

        # By its name, so that the cache notes which commit the name stands for.
        config = small(SETTINGS[:1], revision)
        settings, tokens = small(SETTINGS), small(TOKENIZER)
        settings += small(sorted(n for n in sizes if _is_at_root(n, CODE)))
    if not weights or not config or not _has_vocabulary(tokens):
        raise CheckpointError(
            f"{repository} at {revision}: no weights, config.json or tokenizer there",
            code="not-a-checkpoint",
        )
    hashes += [[file.name, _file_digest(str(file))] for file in settings]
    return Checkpoint(
        model=model,
        train_seed=train_seed,
        step=step,
        weights_digest=digest(hashes),
        tokenizer_digest=_digest_files(tokens),
        location=f"{HUB_SCHEME}{repository}@{info.sha}",
        source=f"{HUB_SCHEME}{repository}@{info.sha}",
        revision=f"{repository}@{info.sha}",
        has_chat_template=_has_chat_template(tokens),
    )


def _preferred(names: list[str]) -> list[str]:
    for pattern in WEIGHTS:
        chosen = sorted(n for n in names if _is_at_root(n, pattern))
        if chosen:
            return chosen
    return []


def _is_at_root(name: str, pattern: str) -> bool:
    return "/" not in name and Path(name).match(pattern)


def _hub_sha256(sibling: Any) -> str:
    """Return what the hub says a large file's SHA-256 is."""
    if sibling.lfs is None:
        raise ValueError(f"{sibling.rfilename} has no SHA-256 on the hub")
    return str(sibling.lfs.sha256)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
