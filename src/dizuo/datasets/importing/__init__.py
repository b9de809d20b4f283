"""Reading rows from files: JSONL, CSV, Parquet, image folders, and tar files of those."""
