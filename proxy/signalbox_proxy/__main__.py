"""`python -m signalbox_proxy`: one proxy process."""

import sys

from signalbox_proxy.process import main

if __name__ == "__main__":
    sys.exit(main())
