"""The bundled encoder and decoder; README.md beside this file is their model card."""
