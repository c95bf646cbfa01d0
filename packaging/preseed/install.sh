#!/bin/sh
# Puts posagent on a terminal from the folder that this script lies in, before anybody has logged in there: for the Debian installer's
# late_command, a first-boot script, or a golden image. Beside it lie posagent_*_<architecture>.deb and, as far as they are
# wanted, agent.toml, root.json and enroll.toml. May be run again.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
umask 022
mkdir -p /etc/posagent
for name in agent.toml root.json; do
    if [ -e "$here/$name" ]; then
        # root's, and changed by nobody else: they say whom to trust (docs/deployment.md)
        install -o root -g root -m 0644 "$here/$name" "/etc/posagent/$name"
    fi
done
if [ -e "$here/enroll.toml" ] && [ ! -e /var/lib/posagent/enrolment/enrolment.json.1 ]; then
    install -m 0600 "$here/enroll.toml" /etc/posagent/enroll.toml
fi
set -- "$here"/posagent_*_"$(dpkg --print-architecture)".deb
if [ ! -e "$1" ]; then
    echo "no posagent_*_$(dpkg --print-architecture).deb lies in $here" >&2
    exit 1
fi
DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends "$1"
if [ -e /etc/posagent/agent.toml ]; then
    chgrp posagent /etc/posagent/agent.toml
    chmod 0640 /etc/posagent/agent.toml
    # a device that is not plugged in yet is named too, and is no reason to stop
    posagent config check || echo "see above: /etc/posagent/agent.toml" >&2
fi
