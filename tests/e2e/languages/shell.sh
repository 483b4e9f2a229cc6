# SPDX-License-Identifier: Apache-2.0
# usage: see languages.sh
case $1 in
write) printf %s "$3" >"$2" ;;
read) cat "$2" ;;
call)
    exec 3<>"$2" &&
        printf %s "$3" >&3 &&
        cat <&3
    ;;
esac
