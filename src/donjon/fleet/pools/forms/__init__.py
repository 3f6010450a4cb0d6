"""One plan written down for each tool that makes pools: values, and texts where a tool has a language of its own."""
