# Part of setup.sh: a Debian 13 root folder with Mesa 26.1's lavapipe, which runs cooperative matrices
# on a CPU. tests/matrix/mesa26.sh starts the test programs in it. Sourced; uses setup.sh's helpers.
# shellcheck shell=bash disable=SC2154

readonly debian13="$cache/debian13"
readonly debian13_format=2  # raised when the content of the folder changes
# The driver, the layers that know its extensions, what build/bin links at run time, and the shader
# compiler that it starts for --shader-dir where the host has it as a package, too.
readonly debian13_packages=(mesa-vulkan-drivers vulkan-validationlayers libvulkan1 libstdc++6
    libsentencepiece0 libedit2 glslang-tools)

# Goes on without the folder where it cannot be made: the tests then say so.
set_up_debian13_root() {
    local stamp
    stamp="format $debian13_format, $(dpkg --print-architecture)"
    stamp_is "$debian13" "$stamp" && return
    if ! can_be_root || ! as_root unshare --mount true 2>/dev/null; then
        say "going on without Mesa 26.1's lavapipe: its folder needs root and leave to mount"
        return
    fi
    say "making a Debian 13 root with Mesa 26.1's lavapipe in $debian13"
    new_scratch "$debian13"
    make_debian13_root "$scratch/root" || fail "the Debian 13 root cannot be made."
    chmod 755 "$scratch"
    echo "$stamp" >"$scratch/stamp"
    put_in_place "$scratch" "$debian13"
}

# The packages come through this machine's apt, so that its mirror, proxy and keys serve here too.
make_debian13_root() {  # folder
    local root=$1 apt="$1.apt" keys=()
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    local deb apt_options
    [[ ! -e $keyring ]] || keys=("--keyring=$keyring")
    # In a mount namespace of its own, debootstrap's mounts end with it, however it ends.
    quietly as_root unshare --mount debootstrap --variant=minbase "${keys[@]}" trixie "$root" \
        "$(mirror)" || return

    private_apt "$apt" trixie trixie-backports
    quietly apt-get "${apt_options[@]}" -o "Dir::State::status=$root/var/lib/dpkg/status" \
        -o Debug::NoLocking=true --download-only -y --no-install-recommends -t trixie-backports \
        install "${debian13_packages[@]}" || return
    as_root mkdir "$root/debs" || return
    for deb in "$apt"/cache/archives/*.deb; do
        as_root cp "$deb" "$root/debs/" || return
    done
    # shellcheck disable=SC2016  # the shell in the root expands it
    quietly as_root chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin \
        DEBIAN_FRONTEND=noninteractive sh -c 'dpkg --force-unsafe-io -i /debs/*.deb' || return
    as_root rm -rf "$root/debs" "$root"/var/cache/apt/archives "$root"/usr/share/{doc,locale,man}
    rm -rf "$apt"
    as_root mkdir -m 1777 "$root/home/olivine"
}
