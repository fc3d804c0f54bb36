"""The comment on a pull request that changes the dataset."""

from pipeline.ci.github import ForgeError, GitHub, pull_request
from pipeline.ci.plan import Changes
from seglib.data.versions import compare_versions, to_markdown
from seglib.storage.listings import manifest_entries, missing_files
