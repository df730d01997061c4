"""The little of WebSocket (RFC 6455) that the game's own server needs: one connection, one request a message."""

import base64
import hashlib
import socket
import struct

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE = 1, 2, 8


def shake_hands(connection: socket.socket) -> bool:
    """Answer the HTTP request that opens the connection; False, after a 404, for another path than /sc2api."""
    header = b""
    while b"\r\n\r\n" not in header:
        chunk = connection.recv(4096)
        if not chunk:
            return False
        header += chunk
    lines = header.decode("latin1").split("\r\n")
    if lines[0].split()[1] != "/sc2api":
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        return False
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    accept = base64.b64encode(hashlib.sha1(fields["sec-websocket-key"].encode() + _MAGIC).digest()).decode()
    connection.sendall(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
    )
    return True


def read(connection: socket.socket) -> bytes | None:
    """The next message, whatever its type (pysc2 marks its binary messages as text); None at the end."""
    message = b""
    while True:
        head = _exactly(connection, 2)
        if head is None:
            return None
        length = head[1] & 127
        if length > 125:
            length = struct.unpack(">H" if length == 126 else ">Q", _exactly(connection, 2 if length == 126 else 8))[0]
        assert head[1] & 128, "a client masks what it sends"
        mask = _exactly(connection, 4)
        masked = _exactly(connection, length)
        if masked is None or head[0] & 15 == CLOSE:
            return None
        pad = (mask * (length // 4 + 1))[:length]
        message += (int.from_bytes(masked, "big") ^ int.from_bytes(pad, "big")).to_bytes(length, "big")
        if head[0] & 128:
            return message


def write(connection: socket.socket, message: bytes) -> None:
    """Send a binary message."""
    length = len(message)
    if length < 126:
        head = struct.pack(">BB", 128 | BINARY, length)
    elif length < 65536:
        head = struct.pack(">BBH", 128 | BINARY, 126, length)
    else:
        head = struct.pack(">BBQ", 128 | BINARY, 127, length)
    connection.sendall(head + message)


def _exactly(connection: socket.socket, count: int) -> bytes | None:
    parts = b""
    while len(parts) < count:
        chunk = connection.recv(count - len(parts))
        if not chunk:
            return None
        parts += chunk
    return parts
