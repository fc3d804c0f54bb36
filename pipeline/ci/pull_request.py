"""The comment on a pull request that changes the dataset."""
