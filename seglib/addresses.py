"""Addresses that can be shown: what is printed, logged or written has no login."""

import re

# From :// to the last @, where an authority begins with a user or a password. One that
# holds / ? or @ itself, which it should not, is covered, too: rather too much is left
# out than too little. A path, as in sqlite:////tmp/a@b or s3://bucket/a@b, stays.
_LOGIN = re.compile(r"(?<=://)(?=[^\s/?#]*[:@])\S*@")
_PARAMETER = re.compile(r"(?i)([?&][\w-]*(?:passw|pwd|secret|token)[\w-]*=)[^&\s'\"]+")


def without_login(text: str) -> str:
    """A text, such as an address or what an error says of one, without logins.

    >>> without_login("Nothing answers at http://me:p@ss/w@host:80/x.")
    'Nothing answers at http://host:80/x.'
    >>> without_login("postgresql://db/mlflow?user=me&password=pw")
    'postgresql://db/mlflow?user=me&password=***'
    >>> without_login("sqlite:////home/me@work/mlflow.db")
    'sqlite:////home/me@work/mlflow.db'
    """
    return _PARAMETER.sub(r"\1***", _LOGIN.sub("", text))
