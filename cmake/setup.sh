#!/usr/bin/env bash
# Sets a machine up to build Olivine, and does nothing where all is there already.
#
#   cmake/setup.sh [--desktop] [--tests] [--mesa26] [--software] [--fuzz]
#   cmake/setup.sh --has-gpu
#
#   --desktop    also what the window is made with (Qt 6, SQLite, the colours of code)
#   --tests      also what only the tests need (Catch2, validation layers, SwiftShader, numpy, what the
#                sample game is made with, and a display that no screen shows)
#   --mesa26     also a Debian 13 root folder with Mesa 26.1's software driver (needs root)
#   --software   also the software Vulkan driver, on a machine that has a GPU with a driver
#   --fuzz       also what only the fuzz targets need (clang with its run-time libraries)
#   --has-gpu    sets nothing up: exit code 0 where a GPU with a Vulkan driver is found, else 1
#
# Standard output: the arguments that CMake needs on this machine, one a line. All else goes to
# standard error. Debian 12 and newer are set up with apt, through sudo where the user is not root.
# On other systems the script names the packages and goes on only when they are all there.
set -euo pipefail
exec </dev/null  # standard input is the program's

export HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}  # unset in some services
readonly cache="${XDG_CACHE_HOME:-$HOME/.cache}/olivine"
readonly toolchain="${OLIVINE_TOOLCHAIN:-$cache/toolchain}"
readonly swiftshader="$cache/swiftshader"

# ---- what is needed: the one list of packages ------------------------------------------------

# To build and run. libvulkan-dev gives the linker its libvulkan.so on Debian 12 too, where the
# headers come from the toolchain folder.
readonly build_packages=(g++ cmake ninja-build ccache pkg-config libvulkan-dev libvulkan1
    libsentencepiece-dev libstb-dev nlohmann-json3-dev libcli11-dev libedit-dev zlib1g-dev)
# What olivine-chat needs besides: to build, and the parts of Qt that it loads as it runs.
desktop_packages=(qt6-base-dev qt6-declarative-dev libsqlite3-dev libjs-highlight.js
    qml6-module-qtquick qml6-module-qtquick-controls qml6-module-qtquick-dialogs
    qml6-module-qtquick-layouts qml6-module-qtquick-templates qml6-module-qtquick-window
    qml6-module-qtqml qml6-module-qtqml-models qml6-module-qtqml-workerscript
    qml6-module-qt-labs-folderlistmodel libqt6svg6 qt6-image-formats-plugins qt6-wayland
    fonts-dejavu-core)
# Shader compilers and headers: installed on Debian 13, unpacked into the toolchain folder on 12.
readonly shader_packages=(glslang-tools glslc spirv-tools libvulkan-memory-allocator-dev)
readonly toolchain_packages=("${shader_packages[@]}" libshaderc1 libvulkan-dev
    libc6 libstdc++6 libgcc-s1)
readonly test_packages=(vulkan-validationlayers python3-numpy
    libglfw3-dev libimgui-dev libglm-dev  # for app/embed/sample
    xvfb openbox xdotool desktop-file-utils fonts-noto-core fonts-noto-cjk fonts-noto-color-emoji)
readonly fuzz_packages=(clang libclang-rt-dev)
# Newer on Debian 12 from its backports: Catch2 3 (12 has 2.13) and lavapipe 25.0 (22.3 reports
# 2 GiB of memory, whatever the machine has).
readonly catch2_minimum=3
readonly mesa_minimum=25

# The oldest that will do. Vulkan's headers count on from 1.3 to 1.4, so the last number tells.
readonly cmake_minimum=3.25 glslang_minimum=15 headers_minimum=309

readonly toolchain_tools=(glslang glslc spirv-val spirv-opt spirv-dis)
readonly toolchain_format=3    # raised when the content of the toolchain folder changes
readonly swiftshader_format=1  # the same for the SwiftShader folder

# ---- small helpers ---------------------------------------------------------------------------

say() { echo "olivine: $*" >&2; }
fail() {
    say "$*"
    exit 1
}

scratch=""
trap '[[ -z "$scratch" ]] || discard "$scratch"' EXIT

# Runs a command with its output in a log, which is shown only when the command fails.
quietly() {
    local log="$cache/setup.log"
    "$@" >"$log" 2>&1 && return
    cat "$log" >&2
    return 1
}

can_be_root() { [[ $(id -u) == 0 ]] || command -v sudo >/dev/null; }
as_root() {
    if [[ $(id -u) == 0 ]]; then
        "$@"
    else
        sudo "$@"
    fi
}

# Removes a folder of this script's making, which may hold files of root's.
discard() { rm -rf "$1" 2>/dev/null || as_root rm -rf "$1"; }

# The installed version of a package, or nothing.
installed_version() {
    dpkg-query -W -f='${db:Status-Status} ${Version}\n' "$1" 2>/dev/null |
        sed -n 's/^installed //p' | head -n 1
}
installed_at_least() {  # package, version
    local version
    version=$(installed_version "$1")
    [[ -n "$version" ]] && dpkg --compare-versions "$version" ge "$2"
}

# Those of the named packages that are not installed, one a line.
missing_of() {
    local have
    have=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
    local package
    for package in "$@"; do
        grep -qxF "installed $package" <<<"$have" || echo "$package"
    done
}

# apt-get on the system's own packages; another apt-get may be at work for five minutes.
system_apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qy -o DPkg::Lock::Timeout=300 "$@"
}

apt_install() {  # suite or nothing, packages...
    local suite=$1
    shift
    say "installing $*${suite:+ from $suite}"
    quietly system_apt install --no-install-recommends ${suite:+-t "$suite"} "$@" ||
        fail "apt-get cannot install $*."
}

# ---- the machine's own mirror ----------------------------------------------------------------

# "URI SUITE" of each package index that apt is configured with, whatever the file format.
apt_sources() {
    # shellcheck disable=SC2016  # apt fills the fields in
    apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' 2>/dev/null | sort -u
}

# The mirror that serves the main archive of this Debian release.
mirror() {
    local uri
    uri=$(apt_sources | awk -v suite="$codename" -v number="$debian" '
        $3 == "main" && ($2 == suite || $2 == "stable" || $2 == "oldstable") { print $1; exit }')
    [[ -n "$uri" ]] || fail "apt has no source for Debian $debian ($codename main)."
    echo "$uri"
}

# One line of a sources list for a suite, on the machine's mirror and with Debian's own keys.
source_line() {
    local keys=/usr/share/keyrings/debian-archive-keyring.gpg
    local options
    options="arch=$(dpkg --print-architecture)"
    [[ ! -e $keys ]] || options+=" signed-by=$keys"
    echo "deb [$options] $(mirror) $1 main"
}

# Makes apt know the backports of this release; false where the mirror does not have them.
add_backports() {
    local suite="$codename-backports"
    local file=/etc/apt/sources.list.d/olivine-backports.list
    local line
    if ! apt_sources | awk -v suite="$suite" '$2 == suite { found = 1 } END { exit !found }'; then
        say "adding $suite to apt's sources ($file)"
        line=$(source_line "$suite")
        # shellcheck disable=SC2016  # the inner shell fills the arguments in
        as_root sh -c 'echo "$1" >"$2"' sh "$line" "$file"
    fi
    quietly system_apt update && return
    [[ ! -e "$file" ]] || as_root rm "$file"
    return 1
}

# Sets apt_options so that apt-get works with lists and state of its own in a folder: it needs no
# root, and the system's apt and dpkg never hear of it. Reads the lists of the suites.
private_apt() {  # folder, suites...
    local apt=$1 suite
    shift
    mkdir -p "$apt"/{state/lists/partial,cache/archives/partial,parts,debs}
    for suite in "$@"; do
        source_line "$suite"
    done >"$apt/sources.list"
    : >"$apt/status"
    apt_options=(-q -o "Dir::Etc::SourceList=$apt/sources.list"
        -o "Dir::Etc::SourceParts=$apt/parts" -o "Dir::Etc::Preferences=$apt/none"
        -o "Dir::Etc::PreferencesParts=$apt/parts" -o "Dir::State=$apt/state"
        -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt/cache"
        -o Acquire::Languages=none -o APT::Sandbox::User=)
    quietly apt-get "${apt_options[@]}" update || fail "apt-get cannot read the lists of $*."
}

# Downloads packages of a suite and unpacks them into a folder.
unpack_from() {  # suite, folder, packages...
    local suite=$1 folder=$2
    shift 2
    local apt="$folder.apt"
    local deb apt_options
    mkdir -p "$folder"
    private_apt "$apt" "$suite"
    (cd "$apt/debs" && quietly apt-get "${apt_options[@]}" download "$@") ||
        fail "apt-get cannot download the packages above from $suite."
    for deb in "$apt"/debs/*.deb; do
        dpkg -x "$deb" "$folder" || fail "${deb##*/} cannot be unpacked."
    done
    rm -rf "$apt"
}

# Puts a finished folder in the place of the one before it.
put_in_place() {  # finished folder, place
    local old="$2.old.$$"
    mkdir -p "$(dirname "$2")"
    [[ ! -e "$2" ]] || mv "$2" "$old"
    mv -T "$1" "$2"
    discard "$old"
}

new_scratch() {
    mkdir -p "$(dirname "$1")"
    scratch=$(mktemp -d "$1.new.XXXXXX")
}

stamp_is() { [[ -e "$1/stamp" && "$(<"$1/stamp")" == "$2" ]]; }

# ---- Debian 12: the shader tools and headers of Debian 13, in a folder of their own -------------

set_up_toolchain() {
    local stamp
    stamp="format $toolchain_format, $(dpkg --print-architecture)"
    stamp_is "$toolchain" "$stamp" && return
    say "unpacking Debian 13's shader compilers and Vulkan headers into $toolchain"
    new_scratch "$toolchain"
    unpack_from trixie "$scratch/root" "${toolchain_packages[@]}"

    local ld
    ld=$(cd "$scratch/root" && find usr/lib -name 'ld-linux-*.so.*' -type f | head -n 1)
    [[ -n "$ld" ]] || fail "Debian 13's libc6 has no program loader where one is expected."
    local libraries=${ld%/*}
    local tool
    mkdir "$scratch/bin"
    for tool in "${toolchain_tools[@]}"; do
        [[ -e "$scratch/root/usr/bin/$tool" ]] || fail "Debian 13's packages have no $tool."
        cat >"$scratch/bin/$tool" <<END
#!/bin/sh
# Starts Debian 13's $tool with the libraries that it was built for.
root="\${0%/*}/../root"
exec "\$root/$ld" --library-path "\$root/$libraries" "\$root/usr/bin/$tool" "\$@"
END
        chmod +x "$scratch/bin/$tool"
        quietly "$scratch/bin/$tool" --version || fail "Debian 13's $tool does not start."
    done

    local header
    mkdir -p "$scratch/include/vma"  # its header is in vma/ in the LunarG SDK, in none on Debian
    ln -s ../root/usr/include/{vulkan,vk_video} "$scratch/include/"
    header=$(cd "$scratch/root" && find usr/include -name vk_mem_alloc.h | head -n 1)
    [[ -n "$header" ]] || fail "Debian 13's packages have no vk_mem_alloc.h."
    ln -s "../root/$header" "$scratch/include/"
    ln -s "../../root/$header" "$scratch/include/vma/"

    # The packages hold more than the tools above use.
    rm -rf "$scratch/root/usr"/{share,libexec,lib/*/{gconv,cmake,pkgconfig,*.a}}
    for tool in "$scratch"/root/usr/bin/*; do
        [[ -e "$scratch/bin/${tool##*/}" ]] || rm "$tool"
    done
    chmod 755 "$scratch"
    echo "$stamp" >"$scratch/stamp"
    put_in_place "$scratch" "$toolchain"
}

# ---- SwiftShader: the poorest Vulkan device that the tests know ---------------------------------

set_up_swiftshader() {
    local stamp
    stamp="format $swiftshader_format, $(dpkg --print-architecture)"
    stamp_is "$swiftshader" "$stamp" && return
    say "unpacking SwiftShader into $swiftshader"
    new_scratch "$swiftshader"
    unpack_from "$codename" "$scratch/root" chromium-common
    local file
    for file in libvk_swiftshader.so vk_swiftshader_icd.json; do
        find "$scratch/root" -name "$file" -exec mv {} "$scratch/" \;
        [[ -e "$scratch/$file" ]] || fail "Debian's chromium-common has no $file."
    done
    rm -rf "$scratch/root"
    chmod 755 "$scratch"
    echo "$stamp" >"$scratch/stamp"
    put_in_place "$scratch" "$swiftshader"
}

# ---- the software driver --------------------------------------------------------------------

# True where the kernel drives a real GPU. PCI vendors: AMD, Intel, NVIDIA; a GPU on a system chip
# has no PCI vendor but a driver's name. Display adapters of virtual machines are neither. Inside a
# container /sys shows the GPUs of the host and /dev only those that the container may use.
has_gpu() {
    local node
    for node in /dev/nvidia[0-9]*; do
        [[ ! -e $node ]] || return 0
    done
    for node in /dev/dri/renderD*; do
        local device="/sys/class/drm/${node##*/}/device"
        if [[ -e $device/vendor ]]; then
            case "$(<"$device/vendor")" in
            0x1002 | 0x8086 | 0x10de) return 0 ;;
            esac
        elif grep -qE '^DRIVER=(asahi|msm|panfrost|panthor|powervr|tegra|v3d)' \
            "$device/uevent" 2>/dev/null; then
            return 0
        fi
    done
    return 1
}

# True where a Vulkan driver is registered that is not a software driver.
has_hardware_icd() {
    local folder file
    [[ -z "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ]] || return 0
    for folder in /etc/vulkan /usr/share/vulkan /usr/local/share/vulkan /usr/local/etc/vulkan \
        "${XDG_DATA_HOME:-$HOME/.local/share}/vulkan"; do
        for file in "$folder"/icd.d/*.json; do
            case "${file##*/}" in
            '*.json' | lvp_icd* | *swiftshader* | virtio_icd* | gfxstream*) ;;  # none, or software
            *) return 0 ;;
            esac
        done
    done
    return 1
}

# A driver that serves a GPU is never touched: Mesa's GPU drivers come in the package of lavapipe.
wants_software_driver() {
    [[ -n "$software" ]] || ! has_gpu || ! has_hardware_icd
}

# ---- Debian ---------------------------------------------------------------------------------

set_up_debian() {
    local wanted=("${build_packages[@]}") newer=() missing=()
    [[ -z "$desktop" ]] || wanted+=("${desktop_packages[@]}")
    [[ -z "$tests" ]] || wanted+=("${test_packages[@]}")
    [[ -z "$fuzz" ]] || wanted+=("${fuzz_packages[@]}")
    [[ -z "$mesa26" ]] || ! can_be_root || wanted+=(debootstrap)
    [[ $debian == 12 ]] || wanted+=("${shader_packages[@]}")
    if [[ -n "$tests" ]] && ! installed_at_least catch2 $catch2_minimum; then
        newer+=(catch2)
    fi
    # Where the last try brought no newer one (no backports, or a pin), the next is a week later.
    local mesa_stays="$cache/mesa-stays" mesa_wanted=$mesa_minimum
    [[ -z "$(find "$mesa_stays" -mtime -7 2>/dev/null)" ]] || mesa_wanted=0
    if wants_software_driver && ! installed_at_least mesa-vulkan-drivers $mesa_wanted; then
        newer+=(mesa-vulkan-drivers)
    fi
    mapfile -t missing < <(missing_of "${wanted[@]}")
    if ((${#missing[@]} + ${#newer[@]})); then
        install_packages
        installed_at_least mesa-vulkan-drivers $mesa_minimum || touch "$mesa_stays"
    fi
    if [[ -n "$found_elsewhere" ]]; then
        arguments_elsewhere
        return
    fi
    if [[ $debian == 12 ]]; then
        set_up_toolchain
        echo "-DOLIVINE_TOOLCHAIN=$toolchain"
    fi
    ! installed_at_least catch2 $catch2_minimum || echo -DOLIVINE_TESTS=ON
    [[ -n "$(missing_of "${desktop_packages[@]}")" ]] || echo -DOLIVINE_DESKTOP=ON
    [[ -z "$tests" ]] || set_up_swiftshader
    [[ -z "$mesa26" ]] || set_up_debian13_root
}

# Installs the packages of set_up_debian's lists: "newer" from the backports on Debian 12.
found_elsewhere=""
install_packages() {
    if ! can_be_root; then
        if [[ "${missing[*]} ${newer[*]}" == " mesa-vulkan-drivers" ]]; then
            say "going on without mesa-vulkan-drivers $mesa_minimum, which needs root or sudo"
            return
        fi
        everything_is_here && found_elsewhere=yes && return
        fail "installing the missing packages needs root or sudo: ${missing[*]} ${newer[*]}"
    fi
    say "reading the package lists"
    if [[ $debian == 12 ]] && ((${#newer[@]})) && add_backports; then
        ((${#missing[@]} == 0)) || apt_install "" "${missing[@]}"
        apt_install "$codename-backports" "${newer[@]}"
        return
    fi
    quietly system_apt update || fail "apt-get cannot read the package lists."
    if [[ $debian == 12 && " ${newer[*]} " == *" catch2 "* ]]; then
        fail "Catch2 $catch2_minimum is not installed and the mirror has no $codename-backports."
    fi
    apt_install "" "${missing[@]}" "${newer[@]}"
}

# ---- main -----------------------------------------------------------------------------------

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
# shellcheck source=cmake/other_systems.sh
. "$here/other_systems.sh"
# shellcheck source=cmake/debian13_root.sh
. "$here/debian13_root.sh"

tests="" desktop="" software="" mesa26="" fuzz=""
for argument in "$@"; do
    case "$argument" in
    --tests) tests=yes ;;
    --desktop) desktop=yes ;;
    --software) software=yes ;;
    --fuzz) fuzz=yes ;;
    --mesa26) mesa26=yes ;;
    --has-gpu)
        has_gpu && has_hardware_icd
        exit
        ;;
    *) fail "setup.sh has no option '$argument' (it has --desktop, --tests, --mesa26, --software and --fuzz)." ;;
    esac
done

# "debian" is the release as a number; testing and unstable carry none and count as newer than all.
ID="" VERSION_ID="" VERSION_CODENAME=""
# shellcheck source=/dev/null
[[ ! -r /etc/os-release ]] || . /etc/os-release
debian=${VERSION_ID:-99}
codename=${VERSION_CODENAME:-sid}
# Since Debian 13, what reads SVG files is not in the library's package any more.
[[ "$ID" == debian && ${debian%%.*} == 12 ]] || desktop_packages+=(qt6-svg-plugins)
readonly desktop_packages

if [[ "$ID" == debian && ${debian%%.*} -ge 12 ]]; then
    mkdir -p "$cache"
    exec {lock}>"$cache/setup.lock"
    flock "$lock"  # another run may be setting the same folders up
    set_up_debian
elif everything_is_here; then
    arguments_elsewhere
else
    name_packages
    exit 1
fi
