"""The two ends of a replication."""

from replication.peers.base import Peer
from replication.peers.local import LocalPeer
from replication.peers.remote import RemotePeer

__all__ = ["LocalPeer", "Peer", "RemotePeer"]
