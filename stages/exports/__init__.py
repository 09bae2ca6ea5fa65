"""Files made of a finished recording's results: tables, annotations, a drawn video, a page to send to somebody."""

from stages.exports.kinds import EXPORTS, Kind, check_exports
from stages.exports.run import export_recording

__all__ = ["EXPORTS", "Kind", "check_exports", "export_recording"]
