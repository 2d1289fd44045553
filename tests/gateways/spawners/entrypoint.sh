#!/bin/sh
# Two gateways below a shell, as MetaMCP has them: what they start is a server as far as the guard
# can tell. Each tells what became of the ways to start a program that its language has.
cd /opt/spawners
node spawners.js "$1" &
NODE_PID=$!
python3 spawners.py "$2" &
PYTHON_PID=$!
trap 'kill $NODE_PID $PYTHON_PID' TERM INT
wait $NODE_PID
wait $PYTHON_PID
