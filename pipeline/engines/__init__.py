"""Where the stages run: `inline` in the calling process, `local` in workers on one machine."""
