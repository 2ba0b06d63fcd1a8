"""What is in ``evalvar init --demo``? lm-eval's output on two models of the zoo.

Packs what these commands wrote into ``harness/templates/demo.tar.xz``, where
``zoo-tiny`` and ``zoo-small`` are links to ``seed2/step640`` of both sizes in the zoo::

    lm_eval --model hf --model_args pretrained=zoo-tiny,dtype=float32 \
        --tasks zoo_arithmetic,zoo_facts_choice,zoo_facts_cloze,zoo_sequences_cloze \
        --include_path tasks --device cpu --batch_size 64 \
        --log_samples --output_path out
    python suites/demo.py out

Paths and what else tells of the machine are left out, and log-likelihoods are rounded
to four places, which no answer turns on.
"""

from __future__ import annotations

import io
import json
import re
import sys
import tarfile
from pathlib import Path
from typing import Any

ARCHIVE = Path(__file__).parents[1] / "harness/templates/demo.tar.xz"


def main(out: Path) -> None:
    """Pack the results below `out`, files of one task side by side."""
    files = sorted(out.rglob("*.json*"), key=lambda f: (_task(f), f.parent.name))
    with tarfile.open(ARCHIVE, "w:xz", preset=9, format=tarfile.USTAR_FORMAT) as tar:
        for file in files:
            lines = file.read_text(encoding="utf-8").splitlines()
            clean = _samples(lines) if file.suffix == ".jsonl" else _results(lines)
            member = tarfile.TarInfo(f"{file.parent.name}/{file.name}")
            member.size = len(clean)
            tar.addfile(member, io.BytesIO(clean))
    print(f"{ARCHIVE}: {ARCHIVE.stat().st_size:,} bytes")


def _task(file: Path) -> str:
    return re.sub(r"_20\d\d-.*", "", file.name)


def _samples(lines: list[str]) -> bytes:
    text = ""
    for line in lines:
        sample = json.loads(line)
        for name in ("resps", "filtered_resps"):
            sample[name] = _rounded(sample[name])
        text += json.dumps(sample, ensure_ascii=False) + "\n"
    return text.encode()


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    is_likelihood = isinstance(value, str) and re.fullmatch(r"-\d+\.\d+(e-\d+)?", value)
    return str(round(float(value), 4)) if is_likelihood else value


def _results(lines: list[str]) -> bytes:
    results = json.loads("".join(lines))
    results.pop("pretty_env_info")
    for config in results["configs"].values():
        config["metadata"].pop("config_source", None)
        files = config["dataset_kwargs"]["data_files"]
        files.update({split: Path(path).name for split, path in files.items()})
    return json.dumps(results, indent=2, ensure_ascii=False).encode()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
