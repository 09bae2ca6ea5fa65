"""What tracks do at lines and in zones: geometry, and a state machine without a clock or a socket; see README.md."""

from stages.zones.watch import ZoneWatch

__all__ = ["ZoneWatch"]
