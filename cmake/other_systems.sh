# Part of setup.sh: systems that it installs nothing on, because their packages have other names or
# because it may not. Sourced; uses setup.sh's lists.
# shellcheck shell=bash disable=SC2154

readonly catch2_header=catch2/catch_test_macros.hpp  # the name is new in Catch2 3

# True where a C++ compiler finds the header.
has_header() {  # header, more lines to preprocess
    local include=()
    [[ -z "${VULKAN_SDK:-}" ]] || include=(-isystem "$VULKAN_SDK/include")
    printf '#if !__has_include(<%s>)\n#error\n#endif\n%s\n' "$1" "${2:-}" |
        "${CXX:-c++}" -std=c++20 "${include[@]}" -E -x c++ - >/dev/null 2>&1
}

# True where a tool says that it is of this version or a newer one.
has_tool() {  # tool, version
    local version
    version=$("$1" --version 2>/dev/null | grep -oE '[0-9]+\.[0-9]+(\.[0-9]+)?' | head -n 1)
    [[ -n "$version" && "$(printf '%s\n' "$2" "$version" | sort -V | head -n 1)" == "$2" ]]
}

has_qt() { pkg-config --exists 'Qt6Quick >= 6.4' 'Qt6QuickControls2 >= 6.4' sqlite3; }

# Says what is not here; true where that is nothing.
everything_is_here() {
    local absent=() tool header
    PATH="${VULKAN_SDK:+$VULKAN_SDK/bin:}$PATH"
    for tool in "${CXX:-c++}" ninja pkg-config glslc spirv-val spirv-opt; do
        command -v "$tool" >/dev/null || absent+=("$tool")
    done
    has_tool cmake "$cmake_minimum" || absent+=("cmake $cmake_minimum")
    has_tool glslang "$glslang_minimum" || absent+=("glslang $glslang_minimum")
    has_header vulkan/vulkan_core.h "#include <vulkan/vulkan_core.h>
        #if VK_HEADER_VERSION < $headers_minimum
        #error
        #endif" ||
        absent+=("vulkan/vulkan.h of 1.4.$headers_minimum")
    for header in sentencepiece_processor.h nlohmann/json.hpp CLI/CLI.hpp histedit.h zlib.h; do
        has_header "$header" || absent+=("$header")
    done
    has_header vk_mem_alloc.h || has_header vma/vk_mem_alloc.h || absent+=(vk_mem_alloc.h)
    has_header stb_image.h || has_header stb/stb_image.h || absent+=(stb_image.h)
    if [[ -n "$tests" ]]; then
        has_header $catch2_header || absent+=("$catch2_header")
        python3 -c 'import numpy' 2>/dev/null || absent+=(python3-numpy)
        for header in GLFW/glfw3.h glm/glm.hpp; do
            has_header "$header" || absent+=("$header")
        done
        has_header imgui.h || has_header imgui/imgui.h || absent+=(imgui.h)
    fi
    if [[ -n "$desktop" ]]; then
        has_qt || absent+=("Qt 6 with Quick")
        has_header sqlite3.h || absent+=(sqlite3.h)
    fi
    ((${#absent[@]} == 0)) || say "not found here: ${absent[*]}"
    ((${#absent[@]} == 0))
}

# CMake's arguments. The LunarG SDK has bin/ and include/ as the toolchain folder of Debian 12 does.
arguments_elsewhere() {
    [[ -z "${VULKAN_SDK:-}" ]] ||
        printf '%s\n' "-DOLIVINE_TOOLCHAIN=$VULKAN_SDK" "-DCMAKE_PREFIX_PATH=$VULKAN_SDK"
    ! has_header $catch2_header || echo -DOLIVINE_TESTS=ON
    ! has_qt || echo -DOLIVINE_DESKTOP=ON
}

name_packages() {
    cat >&2 <<END
olivine: packages are installed on Debian 12 and newer only. Elsewhere, install them and run again:
  Ubuntu 25.04 or newer:
    ${build_packages[*]}
    ${shader_packages[*]}
    mesa-vulkan-drivers; for the tests: catch2 ${test_packages[*]}
    ${fuzz_packages[*]}
    for the window: ${desktop_packages[*]}
  Fedora:
    gcc-c++ cmake ninja-build ccache pkgconf-pkg-config vulkan-headers vulkan-loader-devel glslang
    glslc spirv-tools VulkanMemoryAllocator-devel sentencepiece-devel stb_image-devel json-devel
    cli11-devel libedit-devel zlib-devel mesa-vulkan-drivers; for the tests: catch-devel
    libtsan vulkan-validation-layers python3-numpy glfw-devel imgui-devel glm-devel clang compiler-rt
    for the window: qt6-qtbase-devel qt6-qtdeclarative-devel qt6-qtsvg qt6-qtwayland sqlite-devel
  Arch:
    gcc cmake ninja ccache pkgconf vulkan-headers vulkan-icd-loader glslang shaderc spirv-tools
    vulkan-memory-allocator sentencepiece stb nlohmann-json cli11 libedit zlib and the GPU's driver
    (vulkan-radeon, vulkan-intel, nvidia-utils; vulkan-swrast without a GPU); for the tests: catch2
    vulkan-validation-layers python-numpy glfw imgui glm clang compiler-rt
    for the window: qt6-base qt6-declarative qt6-svg qt6-wayland sqlite
  Vulkan's headers must be 1.4.$headers_minimum or newer and glslang $glslang_minimum or newer.
  Where the packages are older: the LunarG Vulkan SDK, with VULKAN_SDK set by its setup-env.sh.
END
}
