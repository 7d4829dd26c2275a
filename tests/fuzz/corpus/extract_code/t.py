#!/usr/bin/env python3
"""Module doc.

def not_a_function(): no
"""
import os
import sys

X = 1

# about f
@decorator
def f(a,
      b):
    x = """
unindented text in string
"""
# col 0 comment
    return x

class Foo(Base):
    """doc"""

    attr = 1

    def method(self):
        return 1
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough
        x = 1 # padding line to make it long enough

    async def other(self):
        pass

if __name__ == "__main__":
    f()
else:
    g()
