# A room is a folder of src/: one static library, one namespace, and only the rooms it names below it. Eight files at
# a time are compiled as one, in a third of the time: what they call their own must have other names. Not so where a
# file is one of many of a kind whose parts have the same names, and in rooms that are APART.
#   aquatint_room(NAME [APART] [USES room...] [LINK library...])
function(aquatint_room name)
  cmake_parse_arguments(ROOM "APART" "" "USES;LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cc)
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$")
  list(FILTER sources EXCLUDE REGEX "/cuda/")  # cuda.cmake
  if(AQUATINT_PORTABLE)
    list(FILTER sources EXCLUDE REGEX "/cpu/(avx|amx)[^/]*\\.cc$")
  endif()
  if(NOT sources)
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE ${ROOM_USES} ${ROOM_LINK})
    return()
  endif()
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(${name} PUBLIC ${ROOM_USES} PRIVATE ${ROOM_LINK})
  if(NOT ROOM_APART)
    set_target_properties(${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
    list(FILTER sources INCLUDE REGEX "/${name}/(layouts|methods|deploy)/")
    set_source_files_properties(${sources} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  endif()
endfunction()

# Tests mirror src/: one binary per room, tests/<room>/*_test.cc. Four files at a time are compiled as one, in half the
# time: what they call their own must have other names.
function(aquatint_room_tests name)
  cmake_parse_arguments(ROOM "" "" "USES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*_test.cc)
  if(sources)
    add_executable(${name}_test ${sources})
    target_include_directories(${name}_test PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
    target_compile_definitions(${name}_test PRIVATE AQUATINT_GOLDEN="${PROJECT_SOURCE_DIR}/tests/golden")
    target_link_libraries(${name}_test PRIVATE ${name} ${ROOM_USES} GTest::gtest_main GTest::gmock)
    set_target_properties(${name}_test PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 4)
    add_test(NAME ${name} COMMAND ${name}_test)
    set_tests_properties(${name} PROPERTIES LABELS unit)
  endif()
endfunction()

# Files built into a room as `extern const std::string_view name`, declared by a header of the room.
#   aquatint_embed(ROOM HEADER NAMESPACE name=file...)
function(aquatint_embed room header namespace)
  set(files)
  foreach(pair ${ARGN})
    string(REGEX REPLACE "^[^=]+=" "" file "${pair}")
    list(APPEND files ${file})
  endforeach()
  set(out ${CMAKE_CURRENT_BINARY_DIR}/${room}_embedded.cc)
  add_custom_command(
    OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DHEADER=${header} -DNAMESPACE=${namespace}
            -P ${PROJECT_SOURCE_DIR}/cmake/embed.cmake -- ${ARGN}
    DEPENDS ${files} ${PROJECT_SOURCE_DIR}/cmake/embed.cmake
    VERBATIM)
  target_sources(${room} PRIVATE ${out})
endfunction()
