// Cut, copy, paste: what the right button opens over a text.
import QtQuick
import QtQuick.Controls.Basic
import Olivine

MouseArea {
    id: area
    required property Item edit
    property bool readOnly: edit.readOnly
    property var paste: function () { edit.paste() }
    anchors.fill: parent
    acceptedButtons: Qt.RightButton
    cursorShape: Qt.IBeamCursor
    onClicked: mouse => menu.active ? menu.item.popup(mouse.x, mouse.y) : (menu.active = true, menu.item.popup(mouse.x, mouse.y))

    Loader {
        id: menu
        active: false
        sourceComponent: StyledMenu {
            StyledMenuItem {
                text: qsTr("Cut")
                enabled: !area.readOnly && area.edit.selectedText !== ""
                onTriggered: area.edit.cut()
            }
            StyledMenuItem {
                text: qsTr("Copy")
                enabled: area.edit.selectedText !== ""
                onTriggered: area.edit.copy()
            }
            StyledMenuItem {
                text: qsTr("Paste")
                enabled: !area.readOnly
                onTriggered: area.paste()
            }
            StyledMenuItem {
                text: qsTr("Select all")
                onTriggered: area.edit.selectAll()
            }
        }
    }
}
