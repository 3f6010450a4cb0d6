"""The node agent: reads its host, serves the kubelet, keeps its node object true, and tells what it sees."""
