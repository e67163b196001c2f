"""Tests of behaviour: real weights, real pictures, real sockets."""
