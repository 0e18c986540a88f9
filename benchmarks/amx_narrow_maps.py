"""Are convolutions of stride 2 in bfloat16 right on very narrow maps? Not with AMX on some processors.

Memory is filled with NaN and freed before each of them, so that a kernel that reads beyond its input shows.
Run: python benchmarks/amx_narrow_maps.py, and again with ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16 before it.
"""

from __future__ import annotations

import torch

SIZES = ((4, 2), (8, 2), (2, 2), (4, 4), (6, 3), (8, 4), (16, 8), (32, 16), (64, 32))
TRIALS = 200


def fill_freed_memory() -> None:
    """Leave NaN in blocks that the next allocations get."""
    for power in range(10, 21, 2):
        for _ in range(4):
            torch.full((1 << power,), float("nan"))


def main() -> None:
    torch.manual_seed(0)
    print("| rows x columns | results with NaN | largest error of the others |\n|---|---:|---:|")
    for rows, columns in SIZES:
        layer = torch.nn.Conv2d(128, 256, 3, 2, 1, bias=False).to(memory_format=torch.channels_last)
        image = torch.randn(2, 128, rows, columns).to(memory_format=torch.channels_last)
        wrong, largest = 0, 0.0
        with torch.no_grad():
            expected = layer(image)
            for _ in range(TRIALS):
                fill_freed_memory()
                with torch.autocast("cpu", torch.bfloat16):
                    result = layer(image).float()
                if not bool(torch.isfinite(result).all()):
                    wrong += 1
                else:
                    largest = max(largest, float((result - expected).abs().max()))
        print(f"| {rows} x {columns} | {wrong} of {TRIALS} | {largest:.3g} |", flush=True)


if __name__ == "__main__":
    main()
