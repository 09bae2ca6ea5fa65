"""Settings of results in other people's schemas."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from pipeline.config.settings import Settings

FilePath = Annotated[str, Meta(min_length=1)]


class ExportConfig(Settings, frozen=True, kw_only=True):
    """Files of JSON lines in other people's schemas; stages/publish/README.md tells what is in them."""

    savant: Annotated[FilePath | None, Meta(description="File of Savant's VideoFrame, a result each. Null: none.")] = (
        None
    )
    deepstream: Annotated[
        FilePath | None, Meta(description="File of DeepStream's minimal message, a result each. Null: none.")
    ] = None
    roboflow: Annotated[
        FilePath | None, Meta(description="File of the answers of Roboflow's inference, a result each. Null: none.")
    ] = None
    frigate: Annotated[
        FilePath | None, Meta(description="File of Frigate's events: new, update, end of each track. Null: none.")
    ] = None

    @property
    def files(self) -> dict[str, str]:
        """The files that are written, by schema."""
        named = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: file for name, file in named.items() if file is not None}
