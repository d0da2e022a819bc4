# SPDX-License-Identifier: MIT

# Gives one target the warnings, sanitizers and coverage that the options of this build name.
# Nothing here goes into CMAKE_C_FLAGS, so a project that includes this one keeps its own flags.
function(asynctools_flags target)
    set(c_only "$<COMPILE_LANGUAGE:C>")
    target_compile_options(${target} PRIVATE
        -Wall -Wextra -Wshadow -Wundef -Wvla -Wpointer-arith
        $<${c_only}:-Wstrict-prototypes> $<${c_only}:-Wold-style-definition>
        $<$<BOOL:${ASYNCTOOLS_WARNINGS_ARE_ERRORS}>:-Werror>)

    # CMake's Debug has no optimisation; -Og finds more warnings and keeps debugging usable.
    if(CMAKE_BUILD_TYPE STREQUAL "Debug")
        if(ASYNCTOOLS_SANITIZE)
            target_compile_options(${target} PRIVATE -O1)
        elseif(NOT ASYNCTOOLS_COVERAGE)
            target_compile_options(${target} PRIVATE -Og)
        endif()
    endif()

    if(ASYNCTOOLS_SANITIZE)
        target_compile_options(${target} PRIVATE
            -fsanitize=${ASYNCTOOLS_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
        target_link_options(${target} PRIVATE -fsanitize=${ASYNCTOOLS_SANITIZE})
    endif()
    if(ASYNCTOOLS_COVERAGE)
        target_compile_options(${target} PRIVATE --coverage -fprofile-update=atomic)
        target_link_options(${target} PRIVATE --coverage)
    endif()
endfunction()

# Further warnings for the library itself, too strict for the macros of a test framework.
function(asynctools_library_flags target)
    asynctools_flags(${target})
    target_compile_options(${target} PRIVATE
        -Wmissing-prototypes -Wwrite-strings -Wformat=2 -Wno-format-nonliteral
        -Wconversion -Wno-sign-conversion)
endfunction()
