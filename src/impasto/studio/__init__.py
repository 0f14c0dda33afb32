"""The studio: a page in the browser on which pictures are painted, and the server that owns its queue."""
