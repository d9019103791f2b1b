"""What the value of a claim's cell has to be, and the test of it. No torch here."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Condition:
    """What a value has to be: above `low`, below `high`, or both; strict: not equal to them."""

    low: float = -math.inf
    high: float = math.inf
    strict: bool = False

    @classmethod
    def of(cls, stated: Mapping[str, Any]) -> "Condition":
        """A condition as a claim states it, such as {"above": 0} or {"between": [4.5, 5.5]}."""
        ((kind, bound),) = stated.items()
        if kind == "between":
            return cls(*bound)
        side = "low" if kind in ("above", "at_least") else "high"
        return cls(**{side: bound}, strict=kind in ("above", "below"))

    def met(self, value: float) -> bool:
        """Whether a value meets it."""
        return self.low < value < self.high if self.strict else self.low <= value <= self.high

    def p(self, values: np.ndarray) -> float:
        """The p-value of the mean of `values` [n] by Student's t against the bounds; NaN for fewer than two. See `tables.claims`."""
        from scipy.special import stdtr

        count = len(values)
        if count < 2:
            return math.nan
        mean, error = np.mean(values), np.std(values, ddof=1) / math.sqrt(count)

        def above(bound: float) -> float:
            """One-sided p of a mean above a bound; of a mean below it the complement."""
            if error == 0:
                return 0.5 if mean == bound else float(mean < bound)
            return float(stdtr(count - 1, -(mean - bound) / error))

        if math.isinf(self.high) or math.isinf(self.low):
            p = above(self.low if math.isinf(self.high) else self.high)
            return 2 * min(p, 1 - p)
        if self.low <= mean <= self.high:
            return max(above(self.low), 1 - above(self.high))
        return 2 * (1 - above(self.low) if mean < self.low else above(self.high))
