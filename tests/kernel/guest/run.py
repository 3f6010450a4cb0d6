"""In the guest: run the checks of one truth, and say how many held."""

import sys

from tests.kernel.guest.accounts import Accounts
from tests.kernel.guest.common import Common
from tests.kernel.guest.comparison import Comparison
from tests.kernel.guest.devices import Driver, Standin
from tests.kernel.guest.harness import STOP_AT_FIRST, Checks
from tests.kernel.guest.host import Host
from tests.kernel.guest.of_driver import OfDriver
from tests.kernel.guest.of_standin import OfStandin
from tests.kernel.guest.rights import Rights


def main(truth: str, words: list[str]) -> None:
    """The checks that hold with either truth, those of this one, and what the reader needs to be allowed."""
    checks = Checks(stops=STOP_AT_FIRST in words)
    device = Driver() if truth == "driver" else Standin()
    comparison = Comparison(checks, device)
    common = Common(comparison)
    own = OfDriver(comparison, device) if isinstance(device, Driver) else OfStandin(comparison, device)
    host = Host(comparison).scenarios() if isinstance(device, Driver) else ()
    rest = (Accounts(comparison, common), Rights(comparison, common))
    scenarios = (*host, *common.scenarios(), *own.scenarios(), *(scenario for each in rest for scenario in each.scenarios()))
    checks.run(scenarios, comparison.settle)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
