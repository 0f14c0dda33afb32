"""Files that appear whole or not at all, scratch arrays, pooled memory, and what concerns the whole process."""
