"""A plain ADS client: reads CDS, EDS, LDS and RDS of one proxy as state of the world, over one stream.

It shares no code with the control plane or with Envoy: protobuf is read and written by hand, as far as needed.
Prints {"read": {type: [names]}, "config_dump": what the page says while the stream is open}.
Usage: ads_client.py HOST:PORT NODE_ID CONFIG_DUMP_URL
"""

import json
import queue
import sys
import urllib.request

import grpc

LIMIT = 20
METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
TYPES = {
    "cds": "envoy.config.cluster.v3.Cluster",
    "eds": "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "lds": "envoy.config.listener.v3.Listener",
    "rds": "envoy.config.route.v3.RouteConfiguration",
}
HTTP_CONNECTION_MANAGER = (
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
)
EDS = 3


def url(name):
    return "type.googleapis.com/" + name


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """Yields number and value of every field: an int, or the bytes."""
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = read_varint(data, at)
        elif kind == 1:
            value, at = data[at : at + 8], at + 8
        elif kind == 2:
            length, at = read_varint(data, at)
            value, at = data[at : at + length], at + length
        elif kind == 5:
            value, at = data[at : at + 4], at + 4
        else:
            raise ValueError(f"wire type {kind}")
        yield tag >> 3, value


def every(data, number):
    return [value for found, value in fields(data) if found == number]


def text(data, number):
    values = every(data, number)
    return values[-1].decode() if values else ""


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def put(number, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value if value else b""


def node(identity, metadata):
    members = b"".join(put(1, put(1, key) + put(2, put(3, value))) for key, value in metadata.items())
    return put(1, identity) + put(2, "plain-client") + put(3, members)


def request(version, sender, names, type_name, nonce):
    return (
        put(1, version)
        + put(2, sender)
        + b"".join(put(3, name) for name in names)
        + put(4, url(type_name))
        + put(5, nonce)
    )


class Stream:
    def __init__(self, address, identity):
        self.outgoing = queue.Queue()
        self.node = node(identity, {"ISTIO_VERSION": "1.30.0", "CLUSTER_ID": "Kubernetes"})
        self.channel = grpc.insecure_channel(address)
        call = self.channel.stream_stream(METHOD, request_serializer=bytes, response_deserializer=bytes)
        self.incoming = call(iter(self.outgoing.get, None), timeout=LIMIT)

    def read(self, short, names=()):
        """Asks for a type, accepts the answer, returns the resources' bytes."""
        type_name = TYPES[short]
        self.outgoing.put(request("", self.node, names, type_name, ""))
        for answer in self.incoming:
            if text(answer, 4) != url(type_name):
                continue
            self.outgoing.put(request(text(answer, 1), b"", names, type_name, text(answer, 5)))
            resources = [every(any_message, 2)[0] for any_message in every(answer, 2)]
            for any_message in every(answer, 2):
                assert text(any_message, 1) == url(type_name), text(any_message, 1)
            return resources
        raise EOFError(f"the stream ended before {short}")

    def close(self):
        self.outgoing.put(None)
        self.incoming.cancel()
        self.channel.close()


def load_assignments(clusters):
    """The names that clusters of type EDS refer to."""
    names = []
    for cluster in clusters:
        if EDS in every(cluster, 2):
            source = every(cluster, 3)
            names.append((text(source[0], 2) if source else "") or text(cluster, 1))
    return sorted(set(names))


def route_tables(listeners):
    """The names that HTTP connection managers refer to."""
    names = set()
    for listener in listeners:
        for chain in every(listener, 3) + every(listener, 25):
            for config in (config for each in every(chain, 3) for config in every(each, 4)):
                if text(config, 1) == url(HTTP_CONNECTION_MANAGER):
                    names.update(text(rds, 2) for rds in every(every(config, 2)[0], 3))
    return sorted(names)


def main():
    address, identity, page = sys.argv[1:]
    stream = Stream(address, identity)
    clusters = stream.read("cds")
    endpoints = stream.read("eds", load_assignments(clusters))
    listeners = stream.read("lds")
    routes = stream.read("rds", route_tables(listeners))
    of_type = {"cds": clusters, "eds": endpoints, "lds": listeners, "rds": routes}
    read = {short: sorted(text(resource, 1) for resource in found) for short, found in of_type.items()}
    with urllib.request.urlopen(page, timeout=LIMIT) as answer:
        dump = json.load(answer)
    stream.close()
    json.dump({"read": read, "config_dump": dump}, sys.stdout)


main()
