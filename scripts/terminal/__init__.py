"""What every command shares: how it runs and ends, and what it shows meanwhile. The standard library alone."""

from .commands import Failure, guarded, say
from .lines import Line, bar
from .numbers import not_negative, positive

__all__ = ["Failure", "Line", "bar", "guarded", "not_negative", "positive", "say"]
