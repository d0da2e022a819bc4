# SPDX-License-Identifier: MIT

# Compiles HEADER with nothing before it and after the system headers that own macros named AT_*.
set(crowd fcntl.h elf.h sys/auxv.h)

function(compile compiler language standard)
    set(includes "")
    foreach(header ${ARGN} ${HEADER})
        list(APPEND includes -include ${header})
    endforeach()
    execute_process(
        COMMAND ${compiler} -std=${standard} -D_GNU_SOURCE -Wall -Wextra -Wundef -pedantic -Werror
            -I${INCLUDE} ${includes} -fsyntax-only -x ${language}
            "${CMAKE_CURRENT_LIST_DIR}/empty.inc"
        RESULT_VARIABLE result ERROR_VARIABLE text)
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "<${HEADER}> as ${standard} after '${ARGN}':\n${text}")
    endif()
endfunction()

if(NOT HEADER MATCHES "\\.hpp$")
    compile(${C_COMPILER} c c11)
    compile(${C_COMPILER} c c11 ${crowd})
endif()
compile(${CXX_COMPILER} c++ c++17)
compile(${CXX_COMPILER} c++ c++17 ${crowd})
