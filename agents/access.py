"""Whether a broker lets us in, asked on a connection of our own: aiokafka's clients say of every login that is refused
that nobody could be reached, and leave the reason to their log.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_ARGUMENTS: Final = (
    "client_id",
    "security_protocol",
    "ssl_context",
    "sasl_mechanism",
    "sasl_plain_username",
    "sasl_plain_password",
)
_TIMEOUT_MS: Final = 5_000


async def refusal(client: Mapping[str, Any]) -> str:
    """Why no broker lets in whoever has these arguments, in words with what to do.

    ``client`` holds aiokafka's connection arguments. Empty if the first broker that answers lets us in, and if none
    answers: waiting may help then, and does not help against a refusal.
    """
    from aiokafka.conn import collect_hosts, create_conn
    from aiokafka.errors import KafkaError

    arguments = {name: client[name] for name in _ARGUMENTS if name in client}
    if arguments.get("security_protocol", "PLAINTEXT") == "PLAINTEXT":
        return ""  # there is nothing to refuse
    for host, port, _ in collect_hosts(client["bootstrap_servers"], randomize=False):
        try:
            connection = await create_conn(host, port, request_timeout_ms=_TIMEOUT_MS, **arguments)
        except (KafkaError, OSError) as error:
            if why := _why(error, client):
                return f"Kafka at {host}:{port} {why}"
        else:
            await connection.close()
            return ""
    return ""


def _why(error: Exception, client: Mapping[str, Any]) -> str:
    """What is refused by an error that comes again however often one tries; empty for others."""
    from aiokafka.errors import (
        AuthenticationFailedError,
        IllegalSaslStateError,
        SaslAuthenticationFailed,
        UnsupportedSaslMechanismError,
    )

    user, mechanism = client.get("sasl_plain_username"), client.get("sasl_mechanism")
    match error:
        case SaslAuthenticationFailed() | AuthenticationFailedError():
            return (
                f"does not let {user!r} in by {mechanism} ({error}): check kafka.sasl_username, kafka.sasl_password "
                "and kafka.sasl_mechanism"
            )
        case UnsupportedSaslMechanismError():
            return f"does not take {mechanism}: set kafka.sasl_mechanism to one that its listener has enabled"
        case IllegalSaslStateError():
            return (
                "has no login on this port: set kafka.security_protocol to PLAINTEXT or SSL, or kafka.bootstrap to the "
                "listener that has"
            )
        case ssl.SSLCertVerificationError():
            return (
                f"shows a certificate that is not trusted ({error.verify_message}): set kafka.ssl_cafile to who signed "
                "it, and kafka.bootstrap to a name that is in it"
            )
        case _:
            return ""
