"""Reading rows from files: JSONL, CSV, Parquet, image folders, and tar or zip files of those."""
