"""The token that guards a Ray cluster: sent wherever it is wanted, and its lack told in words at once.

Ray itself sends a token to an address only if RAY_AUTH_MODE says so, and where it is refused tries for half a minute. What is used of Ray's private
parts: its gRPC channels, which know token and TLS, and the loader of the token.
"""

from __future__ import annotations

import os

import grpc
from ray._private.grpc_utils import init_grpc_channel
from ray._raylet import AuthenticationTokenLoader, Config
from ray.exceptions import AuthenticationError

from search.errors import SearchError

MODE = "RAY_AUTH_MODE"
_CLIENT_SCHEME = "ray://"
#: Cheap calls that any cluster, and any server for ``ray://``, knows.
_CLUSTER_CALL, _CLIENT_CALL = "/ray.rpc.NodeInfoGcsService/CheckAlive", "/ray.rpc.RayletDriver/ClusterInfo"
_ANSWER_SECONDS = 10
_REMEDY = "copy the cluster's to a file of this machine that only you can read, and set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH=FILE (docs/cluster.md)"


def agree_on_token(address: str) -> None:
    """Make sure that the cluster takes what this process sends; where it wants a token and there is one, send that from now on.

    Parameters
    ----------
    address : str
        ``host:port`` of a cluster or ``ray://host:port``.

    Raises
    ------
    SearchError
        The token is missing or another, or what listens there is something else.
    """
    code = _ask(address)
    if code is grpc.StatusCode.UNAUTHENTICATED and MODE not in os.environ and _has_token():
        os.environ[MODE] = "token"
        Config.initialize("")  # Ray read the mode when it was imported
        code = _ask(address)
    if code is grpc.StatusCode.UNAUTHENTICATED:
        what = "this process has another" if _has_token() else "this process has none"
        raise SearchError(f"--address {address}: the Ray cluster there wants its token, and {what}: {_REMEDY}")
    if code in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE):
        raise SearchError(
            f"--address {address}: what listens there is no {'server for ray:// connections' if address.startswith(_CLIENT_SCHEME) else 'Ray cluster'}; "
            "'ray start --head' takes host:6379 and ray://host:10001, unless --port and --ray-client-server-port say otherwise"
        )


def _has_token() -> bool:
    return AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True)


def _ask(address: str) -> grpc.StatusCode:
    """What becomes of a cheap call."""
    is_client = address.startswith(_CLIENT_SCHEME)
    try:
        with init_grpc_channel(address.removeprefix(_CLIENT_SCHEME)) as channel:
            channel.unary_unary(_CLIENT_CALL if is_client else _CLUSTER_CALL)(b"", timeout=_ANSWER_SECONDS)
    except AuthenticationError:  # token mode, and no token to send
        return grpc.StatusCode.UNAUTHENTICATED
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK
