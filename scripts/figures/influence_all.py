"""Draw influence_all: how often influential images have the target's class, through the head and through all weights."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from figures import style
from figures.inspection import draw_shares

if __name__ == "__main__":
    style.main(draw_shares, __doc__)
