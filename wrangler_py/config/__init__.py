"""wrangler.toml, .jsonc and .json into a Config, with every problem reported at once."""
