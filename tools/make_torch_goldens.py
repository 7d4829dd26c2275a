#!/usr/bin/env python3
"""Makes tests/golden/torch/tensors.pt: what torch.save writes for tensors of every kind that a checkpoint may hold.

    python3 -m venv /tmp/goldens && /tmp/goldens/bin/pip install -r tools/requirements-goldens.txt
    /tmp/goldens/bin/python tools/make_torch_goldens.py

tests/unit/model_torch_zip_test.c says what is in it.
"""

from collections import OrderedDict
from pathlib import Path

import torch

OUT = Path(__file__).resolve().parent.parent / "tests/golden/torch/tensors.pt"


def main():
    OUT.parent.mkdir(parents=True, exist_ok=True)
    whole = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    tensors = OrderedDict(
        plain=whole, part=whole[1:3], transposed=whole.t(), strided=whole[::2, 1::2], scalar=whole[3, 5], empty=torch.empty(0, 3),
        half=torch.arange(4).half() / 2, bfloat=torch.arange(4).bfloat16() / 4, double=torch.arange(4).double() / 8,
        long=torch.arange(3), parameter=torch.nn.Parameter(torch.full((2, 2), 7.0)))
    tensors._metadata = OrderedDict([("", {"version": 1})])
    torch.save(tensors, OUT)


if __name__ == "__main__":
    main()
