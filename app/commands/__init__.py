"""The subcommands of `adain`, one module each."""
