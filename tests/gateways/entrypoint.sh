#!/bin/sh
# MetaMCP's docker-entrypoint.sh without Postgres: the shell stays PID 1, with backend and frontend as
# its children, and hands SIGTERM on. SETTLE is the real one's `sleep 3`.
set -e

echo "Starting backend server..."
cd /opt/metamcp
node metamcp.js &
BACKEND_PID=$!
sleep "${SETTLE:-3}"
if ! kill -0 $BACKEND_PID 2>/dev/null; then
    echo "Backend server died! Exiting..."
    exit 1
fi

echo "Starting frontend server..."
cd /opt/metamcp/frontend
pnpm start &
FRONTEND_PID=$!
sleep "${SETTLE:-3}"
if ! kill -0 $FRONTEND_PID 2>/dev/null; then
    echo "Frontend server died! Exiting..."
    kill $BACKEND_PID 2>/dev/null
    exit 1
fi

cleanup() {
    echo "Shutting down services..."
    kill $BACKEND_PID 2>/dev/null || true
    kill $FRONTEND_PID 2>/dev/null || true
    wait $BACKEND_PID 2>/dev/null || true
    wait $FRONTEND_PID 2>/dev/null || true
    echo "Services stopped"
}
trap cleanup TERM INT

wait $BACKEND_PID
wait $FRONTEND_PID
