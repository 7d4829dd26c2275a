
#!/bin/bash
set -e
foo() {
  echo "it's"
}
function bar {
  cat <<X
don't
X
}
foo
